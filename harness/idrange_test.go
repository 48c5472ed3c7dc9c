package harness_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

const nobody = 65534

// deathSignal is what this process gets when its parent dies. Only the main
// thread can tell, which runs this before any test.
var deathSignal = func() (signal int32) {
	_ = unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&signal)), 0, 0, 0)
	return signal
}()

func init() {
	// An ordinary user of a machine that grants ids: the grant is put over the
	// machine's own files, in this process's mount namespace.
	fixtures["granted"] = func(t *testing.T) {
		grant := filepath.Join(t.TempDir(), "grant")
		if err := os.WriteFile(grant, fmt.Appendf(nil, "somebody:1:1\n%d:100000:65536\n", nobody), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
			if err := unix.Mount(grant, file, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
		}
		out, status := outcome(t, asNobody("users"))
		fmt.Print(out)
		if status != 0 {
			t.Fail()
		}
	}
	fixtures["users"] = func(t *testing.T) {
		harness.Require(t, harness.Users)
		bob := harness.Up(t, pair()).Node("bob")
		out, err := bob.Command("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-c", "id -u; grep CapAmb /proc/self/status").Output()
		fmt.Printf("\nas %s, %v, death signal %d\n", strings.Join(strings.Fields(string(out)), " "), err, deathSignal)
	}
	fixtures["no users"] = func(t *testing.T) { harness.Require(t, harness.Users) }
}

// asNobody is a fixture's command as an ordinary user, into the sandbox.
func asNobody(name string, args ...string) *exec.Cmd {
	cmd := fixture(name, args...)
	cmd.Env = append(cmd.Env, "NSTEST_SANDBOX=")
	cmd.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

func TestSandboxHasTheUsersThatTheMachineGrants(t *testing.T) {
	harness.Require(t, harness.Root, harness.Tool("newuidmap"))
	t.Parallel()
	cmd := fixture("granted")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, status := outcome(t, cmd)
	if want := "as 1000 CapAmb: 0000000000000000, <nil>, death signal 9"; status != 0 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}

func TestSandboxHasRootAloneWithoutAGrant(t *testing.T) {
	t.Parallel()
	cmd := unprivileged("no users", "-test.v")
	cmd.Env = append(cmd.Env, "NSTEST_STRICT=1", "NSTEST_MISSING=users")
	out, status := outcome(t, cmd)
	if want := "require users: the sandbox has no user but root: apt-get install uidmap"; status != 0 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}
