package harness

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// jail is the PID namespace that all commands of a lab share, made at the first
// one. Its init is this test binary, which does nothing but reap. When init dies
// the kernel kills everything in there: daemons that forked away as well.
type jail struct {
	lab *Lab

	mu       sync.Mutex
	starter  *thread // init's parent: a death signal is sent at the *thread's* end
	init     *exec.Cmd
	hold     *os.File // init's end is its stdin: it lives while this is open
	pidfd    int
	closed   bool
	commands map[*Cmd]bool // started, not yet waited for
}

func newJail(lab *Lab) *jail {
	return &jail{lab: lab, pidfd: -1, commands: map[*Cmd]bool{}}
}

// initVar in the environment makes this binary a lab's init, if it is called so and
// is the first process of its PID namespace. In anybody else's environment it does
// nothing: a test binary that ends at once would have passed.
const (
	initVar  = "NSTEST_LAB_INIT"
	initName = "nstest-init "
)

func init() {
	if os.Getenv(initVar) != "" && os.Getpid() == 1 && strings.HasPrefix(os.Args[0], initName) {
		reap()
	}
}

// reap is what a lab's init does until it is killed.
func reap() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	// The death signal alone would not do: init asks for it a moment after it was
	// forked, and a parent that died before sends none.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 && err != unix.EINTR {
				break
			}
		}
		<-ended
	}
}

// join makes the calling thread's children members. It never leaves.
func (j *jail) join() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errDown
	}
	if j.init == nil {
		if err := j.open(); err != nil {
			return at(err, "start the lab's init")
		}
	}
	return at(unix.Setns(j.pidfd, unix.CLONE_NEWPID), "enter the lab's PID namespace")
}

// open starts init. The caller holds j.mu.
func (j *jail) open() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{initName + j.lab.Name()}
	cmd.Env = []string{initVar + "=1"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
		Setpgid:    true,
		PidFD:      &j.pidfd,
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	cmd.Stdin = stdin
	starter := newThread(func() error { return nil })
	if err := starter.run(cmd.Start); err != nil {
		starter.close()
		_ = hold.Close()
		return err
	}
	j.starter, j.init, j.hold = starter, cmd, hold
	return nil
}

// start starts a command on the calling launcher's thread, unless the lab went
// down meanwhile.
func (j *jail) start(c *Cmd, command *exec.Cmd) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errDown
	}
	if err := command.Start(); err != nil {
		return pathless(err)
	}
	c.command = command
	j.commands[c] = true
	return nil
}

func (j *jail) forget(c *Cmd) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.commands, c)
}

// close kills everything in the PID namespace and waits until it is gone. The
// kernel keeps init until the commands, whose parent we are, have been waited for.
func (j *jail) close() {
	j.mu.Lock()
	j.closed = true
	var running []*Cmd
	for c := range j.commands {
		running = append(running, c)
	}
	j.mu.Unlock()
	if j.init == nil {
		return
	}
	_ = j.init.Process.Kill()
	var waiting sync.WaitGroup
	for _, c := range running {
		waiting.Go(func() { _ = c.Wait() }) // at once: each may have to give up its streams
	}
	waiting.Wait()
	_ = j.init.Wait()
	_ = unix.Close(j.pidfd)
	_ = j.hold.Close()
	j.starter.close()
}
