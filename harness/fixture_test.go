package harness_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// A fixture is a test that a test runs: this binary again, in a process of its
// own, with -test.run=^TestFixture$ and the fixture's name in the environment.
const (
	fixtureVar = "NSTEST_TEST_FIXTURE"
	dropVar    = "NSTEST_TEST_DROP"
	// preparedVar names one of straits.
	preparedVar = "NSTEST_TEST_STRAIT"
)

func TestMain(m *testing.M) {
	if strait := os.Getenv(preparedVar); strait != "" {
		again(preparedVar, straits[strait])
	}
	if os.Getenv(dropVar) != "" {
		again(dropVar, dropPrivilege)
	}
	os.Exit(harness.Main(m))
}

var fixtures = map[string]func(t *testing.T){}

// TestFixture is what a fixture's process runs; without one there is nothing to do.
func TestFixture(t *testing.T) {
	if name := os.Getenv(fixtureVar); name != "" {
		fixtures[name](t)
	}
}

// FuzzFixture is for the fuzz engine's worker processes.
func FuzzFixture(f *testing.F) {
	f.Add(1)
	f.Fuzz(func(t *testing.T, n int) {
		if os.Getenv(fixtureVar) == "fuzz" {
			harness.Up(t, pair())
		}
	})
}

// dropPrivilege takes any capability that counts here from what this thread execs: it is
// then an ordinary user's, as root and rootless alike. CAP_SETFCAP
// stays, without which nobody may map uid 0 into a user namespace (Linux 5.12);
// an ordinary user maps a uid of their own.
func dropPrivilege() error {
	for capability := 0; capability <= unix.CAP_LAST_CAP; capability++ {
		if capability == unix.CAP_SETFCAP {
			continue
		}
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
	}
	return nil
}

// again starts this binary again, where prepare has been done and without a variable.
func again(variable string, prepare func() error) {
	runtime.LockOSThread()
	err := prepare()
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, variable) {
			env = append(env, kv)
		}
	}
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, env)
	}
	fmt.Fprintln(os.Stderr, "prepare:", err)
	os.Exit(99)
}

// fixture is the command that runs a fixture here, with what privilege this
// process has.
func fixture(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"-test.run=^TestFixture$"}, args...)...)
	cmd.Env = append(os.Environ(), fixtureVar+"="+name)
	return cmd
}

// unprivileged is fixture for a process that must enter the sandbox.
func unprivileged(name string, args ...string) *exec.Cmd {
	cmd := fixture(name, args...)
	cmd.Env = append(cmd.Env, dropVar+"=1", "NSTEST_SANDBOX=")
	return cmd
}

// outcome runs a command and returns its output and exit status.
func outcome(t *testing.T, cmd *exec.Cmd) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// recorder is a TB that notes how a test would have ended.
type recorder struct {
	testing.TB
	fatal, skip string
	cleanups    []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Skipf(format string, args ...any) {
	r.skip = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// record runs f with a recorder, and what it registered for clean-up.
func record(t *testing.T, f func(tb harness.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan bool)
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}
