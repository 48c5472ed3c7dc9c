package hygiene_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A fixture is a run of tests that a spec watches from outside: this binary
// again, in a process of its own, with -test.run=^TestFixture$ and the fixture's
// name in the environment.
const (
	fixtureVar = "NSTEST_HYGIENE_FIXTURE"
	dropVar    = "NSTEST_HYGIENE_DROP"
	markVar    = "NSTEST_HYGIENE_MARK" // all processes of a run have its mark
)

var fixtures = map[string]func(t *testing.T){}

// TestFixture is what a fixture's process runs; without one there is nothing to do.
func TestFixture(t *testing.T) {
	if name := os.Getenv(fixtureVar); name != "" {
		RegisterTestingT(t)
		fixtures[name](t)
	}
}

// Dropping privilege is a matter of one thread, and so is going on without it.
// Only while packages are initialised is it certain which thread that is.
func init() {
	if os.Getenv(dropVar) != "" {
		dropPrivilege()
	}
}

// dropPrivilege starts this binary again without any capability that counts
// here: it is then an ordinary user's, and has to enter the sandbox. CAP_SETFCAP
// stays, without which nobody may map uid 0 into a user namespace (Linux 5.12);
// an ordinary user maps a uid of their own.
func dropPrivilege() {
	for capability := 0; capability <= unix.CAP_LAST_CAP; capability++ {
		if capability != unix.CAP_SETFCAP {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
		}
	}
	_ = os.Unsetenv(dropVar)
	err := syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	fmt.Fprintln(os.Stderr, "drop privilege:", err)
	os.Exit(99)
}

// privilege is with what power a fixture runs.
type privilege string

const (
	asIs      privilege = "with the privilege of these specs"
	sandboxed privilege = "in a sandbox of their own"
)

// run is a fixture that was started.
type run struct {
	*exec.Cmd
	mark  string
	dir   string // for its temporary files
	kept  string // for what a failed test leaves on purpose
	ended chan error
	took  time.Duration // from its first word to its end
	out   said
	stdin *os.File // open as long as the run is to go on
}

// said is what a run has printed so far.
type said struct {
	mu    sync.Mutex
	text  []byte
	first time.Time     // of its first word
	began chan struct{} // closed then
}

func (s *said) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.text) == 0 {
		s.first = time.Now()
		close(s.began)
	}
	s.text = append(s.text, text...)
	return len(text), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// start starts a fixture. Whoever starts it asks for its status, and then whether
// it left anything behind.
func start(name string, p privilege, args ...string) *run {
	return startWith(func(*exec.Cmd) {}, name, p, args...)
}

// startWith is start with something changed about the command.
func startWith(change func(*exec.Cmd), name string, p privilege, args ...string) *run {
	dir, err := os.MkdirTemp("", "hygiene")
	Expect(err).NotTo(HaveOccurred())
	r := &run{mark: fmt.Sprintf("hygiene-%d-%x", os.Getpid(), rand.Uint64()), dir: dir, kept: dir + "-kept", ended: make(chan error, 1)}
	r.Cmd = exec.Command("/proc/self/exe", append([]string{"-test.run=^TestFixture$"}, args...)...)
	// The race detector waits a second at its end unless told.
	r.Env = append(os.Environ(), fixtureVar+"="+name, markVar+"="+r.mark, "TMPDIR="+dir, "NSTEST_ARTIFACTS="+r.kept, "NSTEST_SHARD=",
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if p == sandboxed {
		r.Env = append(r.Env, dropVar+"=1", "NSTEST_SANDBOX=")
	}
	r.Stdout, r.Stderr, r.out.began = &r.out, &r.out, make(chan struct{})
	r.WaitDelay = patience // for what a process that should be gone holds open
	stdin, hold, err := os.Pipe()
	Expect(err).NotTo(HaveOccurred())
	r.Stdin, r.stdin = stdin, hold
	change(r.Cmd)
	Expect(r.Start()).To(Succeed())
	_ = stdin.Close()
	go func() {
		err := r.Wait()
		r.took = time.Since(r.out.first)
		r.ended <- err
	}()
	return r
}

// inUserNamespace is for a command in a user namespace of its own, with all power
// there and nowhere else.
func inUserNamespace() *unix.SysProcAttr {
	return &unix.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// release lets a run end that waits for it.
func (r *run) release() { _ = r.stdin.Close() }

// waitForRelease is the fixture's side of it.
func waitForRelease() <-chan struct{} {
	released := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(released)
	}()
	return released
}

const (
	// patience is how long what is ending may take: the kernel clears up behind a
	// process, and other labs with it.
	patience = 2 * time.Minute
	// lifetime is how long a run may take; its own parts are bounded by patience.
	lifetime = 5 * time.Minute
)

// status is the exit status that a run ended with; -1 is death by a signal.
func (r *run) status() int {
	var err error
	Eventually(r.ended, lifetime).Should(Receive(&err), "it does not end: %s", r.mark)
	if _, ok := err.(*exec.ExitError); !ok {
		Expect(err).NotTo(HaveOccurred(), "%s", &r.out)
	}
	return r.ProcessState.ExitCode()
}

// leavesNothing holds when no process of an ended run is left, and no file.
func (r *run) leavesNothing(known ...process) {
	Eventually(func() ([]process, error) {
		left, err := marked(r.mark)
		return append(left, alive(known)...), err
	}, patience).Should(BeEmpty(), "processes of %s are left", r.mark)
	files, err := os.ReadDir(r.dir)
	Expect(err).NotTo(HaveOccurred())
	Expect(files).To(BeEmpty(), "temporary files of %s are left", r.mark)
	Expect(os.Remove(r.dir)).To(Succeed())
	Expect(os.RemoveAll(r.kept)).To(Succeed())
	r.release()
}

// progressVar is a file for the progress of a run whose output comes late.
const progressVar = "NSTEST_HYGIENE_PROGRESS"

// progress notes how far a fixture has come.
func progress(where string) {
	fmt.Println("\nat:", where)
	if path := os.Getenv(progressVar); path != "" {
		Expect(os.WriteFile(path, []byte(where), 0o600)).To(Succeed())
	}
}

// lastProgress is how far a run came.
func (r *run) lastProgress() string {
	_, last, found := cutLast(r.out.String(), "\nat: ")
	if !found {
		return "starting"
	}
	last, _, _ = strings.Cut(last, "\n")
	return last
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}
