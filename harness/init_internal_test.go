package harness

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Both inits do the same: that of some bytes, and this binary where those cannot be.
func TestInits(t *testing.T) {
	paths := map[string]string{"Go": "/proc/self/exe"}
	if program := smallInit(); program != nil {
		paths["small"] = fmt.Sprintf("/proc/self/fd/%d", program.Fd())
	} else if len(initCode) > 0 {
		t.Error("nothing can be executed from memory here")
	}
	for name, path := range paths {
		err := once(func() error { return unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS) }, func() error {
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			i, noProc, err := startInitFrom(path, "test")
			if err != nil {
				return err
			}
			defer i.close()
			if noProc != nil {
				t.Logf("%s: no /proc: %v", name, noProc)
				return nil
			}
			text, err := os.ReadFile("/proc/1/cmdline")
			if err != nil || !strings.HasPrefix(string(text), initName+"test") {
				t.Errorf("%s: the first process is %q, %v", name, text, err)
			}
			// Its standard input's end is its own.
			_ = i.hold.Close()
			if err := i.process.Wait(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
