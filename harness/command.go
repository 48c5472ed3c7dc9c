package harness

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Cmd is a program to be run in a node, which is a small machine to it: see the
// package's documentation. It is killed when the lab goes down, or when the test process dies, however that
// happens; so is every process that it leaves behind. An *exec.Cmd would start
// from whatever thread its caller happens to be on.
type Cmd struct {
	// Path is the program; a name without a slash is looked for in PATH, and in
	// /usr/sbin and /sbin.
	Path string
	// Args are the arguments, without the program itself.
	Args []string
	// Env is the environment as KEY=value; nil is the test's own.
	Env []string
	// Dir is the working directory; "" is the test's own.
	Dir string
	// Stdin, Stdout and Stderr are as in exec.Cmd: nil is /dev/null.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// ExtraFiles are open in the program from descriptor 3 on, as in exec.Cmd.
	ExtraFiles []*os.File
	// Cancel is called when the context of CommandContext is over; nil kills the
	// program and its process group.
	Cancel func() error
	// WaitDelay is how long Wait goes on after the program's end, or the context's,
	// for input and output to be copied: a child that the program left behind may
	// hold its pipe, Stdin may never end, Stdout may take nothing. After it the
	// copying is given up, and Wait returns exec.ErrWaitDelay if the program itself
	// succeeded. With 0 it is a second, and what is given up then is no error.
	WaitDelay time.Duration

	ctx                             context.Context
	node                            *Node
	closeAfterStart, closeAfterWait []io.Closer
	streams                         streams
	command                         *exec.Cmd
	waited                          sync.Once
	exited, done                    chan struct{} // closed at the program's end, and when its output is copied
	expected                        atomic.Bool   // the test has waited for its end, or sent a signal
	stays                           bool          // until the lab ends, in the background maybe: see Start
	err                             error
}

// Command makes a command for the node. It does not start it.
func (n *Node) Command(name string, args ...string) *Cmd {
	return n.CommandContext(context.Background(), name, args...)
}

// CommandContext is Command with a context, whose end is the program's: see
// Cmd.Cancel. Wait's error is then the context's, unless the program succeeded.
func (n *Node) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Path: name, Args: args, ctx: ctx, node: n.here(), exited: make(chan struct{}), done: make(chan struct{})}
}

// waitDelay is WaitDelay unless it is said.
const waitDelay = time.Second

var (
	errNotStarted = errors.New("the command was not started")
	errNoNode     = errors.New("a Cmd is made by Node.Command")
)

// unstarted is why there is no program.
func (c *Cmd) unstarted() error {
	if c.node == nil {
		return errNoNode
	}
	return errNotStarted
}

// Start starts the program. An error says what is missing: the program, or what
// its surroundings need.
func (c *Cmd) Start() error {
	c = c.here()
	if c.node == nil {
		return at(errNoNode, "start %s", c.Path)
	}
	err := c.start()
	closeAll(c.closeAfterStart)
	if err != nil {
		closeAll(c.closeAfterWait)
	}
	return at(err, "node %s: start %s", c.node.name, c.Path)
}

func (c *Cmd) start() error {
	if c.command != nil {
		return errors.New("the command was started already")
	}
	if c.ctx == nil {
		return errNoContext
	}
	if c.Path == "" {
		return errors.New("no program: Path is empty")
	}
	dir := c.Dir
	if dir == "" { // the launcher's thread has a working directory of its own
		var err error
		if dir, err = os.Getwd(); err != nil {
			return err
		}
	}
	started := false
	err := c.node.launch(func() error {
		command, err := c.prepare(dir)
		if err == nil {
			err = c.streams.connect(command)
		}
		if err == nil {
			err = c.node.lab.commands.begin(c, command)
		}
		started = err == nil
		return err
	})
	c.streams.begin(started)
	return err
}

// prepare makes the command of package exec, where the program is to run: it may be
// there and not on the machine.
func (c *Cmd) prepare(dir string) (*exec.Cmd, error) {
	path := c.Path
	if !strings.Contains(path, "/") {
		var err error
		if path, err = tool(c.Path, c.Path); err != nil {
			return nil, err
		}
	}
	command := exec.CommandContext(c.ctx, path, c.Args...)
	command.Stdin, command.Stdout, command.Stderr = c.Stdin, c.Stdout, c.Stderr
	command.ExtraFiles = c.ExtraFiles
	command.Cancel = c.Cancel
	if c.Cancel == nil {
		command.Cancel = func() error { return unix.Kill(-command.Process.Pid, unix.SIGKILL) }
	}
	command.Dir, command.Env = dir, c.Env
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, "XTABLES_LOCKFILE="+lockFile)
	// No Pdeathsig: the node's init has one, and its end is everybody's in its PID
	// namespace. (Go's would kill at once a child that sees no parent there.)
	command.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	return command, nil
}

// Wait waits for the program's end, and for its output to be copied. It may be
// called more than once, and by several goroutines; a status other than zero is
// an *exec.ExitError in the error.
func (c *Cmd) Wait() error {
	c = c.here()
	if c.command == nil {
		return at(c.unstarted(), "wait for %s", c.Path)
	}
	c.expected.Store(true)
	return c.wait()
}

func (c *Cmd) wait() error {
	c.waited.Do(func() {
		err := c.command.Wait()
		close(c.exited)
		if c.stays { // what it left in the background may go on talking
			c.streams.hold(c.node.lab.commands.over())
		}
		if copied := c.streams.wait(cmp.Or(c.WaitDelay, waitDelay)); err == nil {
			err = copied
		}
		if c.WaitDelay == 0 && errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		closeAll(c.closeAfterWait)
		c.err = at(err, "node %s: run %s", c.node.name, c.Path)
		c.node.lab.commands.forget(c)
		close(c.done)
	})
	return c.err
}

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output. When it fails and
// Stderr is not set, the error has what it said there.
func (c *Cmd) Output() ([]byte, error) {
	c = c.here()
	var out, said bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &said
	}
	err := c.Run()
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = &saidError{err, text}
	}
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	c = c.here()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Signal sends a signal to the program.
func (c *Cmd) Signal(signal os.Signal) error {
	c = c.here()
	if c.command == nil {
		return at(c.unstarted(), "signal %s", c.Path)
	}
	c.expected.Store(true)
	return at(c.command.Process.Signal(signal), "node %s: signal %s", c.node.name, c.Path)
}

// Pid is the program's process id as the test sees it; 0 before Start.
func (c *Cmd) Pid() int {
	if c = c.here(); c.command == nil {
		return 0
	}
	return c.command.Process.Pid
}

// saidError is a failed program, and what it said.
type saidError struct {
	err  error
	said string
}

func (e *saidError) Error() string { return e.err.Error() + ": " + e.said }
func (e *saidError) Unwrap() error { return e.err }
