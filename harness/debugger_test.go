package harness_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

func init() {
	fixtures["debugged"] = func(t *testing.T) {
		harness.Up(t, pair())
		fmt.Printf("\nbuilt by %d\n", os.Getpid())
	}
}

// A debugger traces the process that it starts, and would see nothing of tests
// that run in another one. With NSTEST_SANDBOX=off they run in that very process,
// here as root of a user namespace: what `unshare -Urm dlv test` does.
func TestMainUnderADebugger(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := fixture("debugged")
	cmd.Env = append(cmd.Env, "NSTEST_SANDBOX=off")
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &unix.SysProcAttr{
		Ptrace:      true,
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	status := traced(t, cmd.Process.Pid)
	text, err := os.ReadFile(output.Name())
	if want := fmt.Sprintf("built by %d\n", cmd.Process.Pid); err != nil || status != 0 || !strings.Contains(string(text), want) {
		t.Errorf("status %d, want %q in:\n%s%v", status, want, text, err)
	}
}

// traced lets a traced process go on after each stop, and returns its exit status.
func traced(t *testing.T, pid int) int {
	t.Helper()
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err == unix.EINTR {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if status.Exited() || status.Signaled() {
			return status.ExitStatus()
		}
		signal := status.StopSignal()
		if signal == unix.SIGTRAP {
			signal = 0 // the stop at exec
		}
		if err := unix.PtraceCont(pid, int(signal)); err != nil {
			t.Fatal(err)
		}
	}
}
