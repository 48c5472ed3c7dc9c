package harness

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Cmd is a program to be run in a node: in its network namespace, with /sys of
// that namespace, and with /etc/hosts and /etc/resolv.conf of the lab. It is
// killed when the lab goes down, or when the test process dies, however that
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

	node    *Node
	command *exec.Cmd
	waited  sync.Once
	err     error
}

// Command makes a command for the node. It does not start it.
func (n *Node) Command(name string, args ...string) *Cmd {
	return &Cmd{Path: name, Args: args, node: n}
}

var errNotStarted = errors.New("the command was not started")

// Start starts the program. An error says what is missing: the program, or what
// its surroundings need.
func (c *Cmd) Start() error {
	return at(c.start(), "node %s: start %s", c.node.name, c.Path)
}

func (c *Cmd) start() error {
	if c.command != nil {
		return errors.New("the command was started already")
	}
	path := c.Path
	if !strings.Contains(path, "/") {
		var err error
		if path, err = tool(c.Path, c.Path); err != nil {
			return err
		}
	}
	command := exec.Command(path, c.Args...)
	command.Stdin, command.Stdout, command.Stderr = c.Stdin, c.Stdout, c.Stderr
	command.Dir, command.Env = c.Dir, c.Env
	if command.Dir == "" {
		// The launcher's thread has a working directory of its own.
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		command.Dir = dir
	}
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, "XTABLES_LOCKFILE="+lockFile)
	// No Pdeathsig: the lab's init has one, and its end is everybody's in its PID
	// namespace. (Go's would kill at once a child that sees no parent there.)
	command.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	return c.node.launch(c, command)
}

// Wait waits for the program's end, and for its output to be copied. It may be
// called more than once, and by several goroutines; a status other than zero is
// an *exec.ExitError in the error.
func (c *Cmd) Wait() error {
	if c.command == nil {
		return at(errNotStarted, "node %s: wait for %s", c.node.name, c.Path)
	}
	c.waited.Do(func() {
		c.err = at(c.command.Wait(), "node %s: run %s", c.node.name, c.Path)
		c.node.lab.jail.forget(c)
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
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Signal sends a signal to the program.
func (c *Cmd) Signal(signal os.Signal) error {
	if c.command == nil {
		return at(errNotStarted, "node %s: signal %s", c.node.name, c.Path)
	}
	return at(c.command.Process.Signal(signal), "node %s: signal %s", c.node.name, c.Path)
}

// Pid is the program's process id as the test sees it; 0 before Start.
func (c *Cmd) Pid() int {
	if c.command == nil {
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
