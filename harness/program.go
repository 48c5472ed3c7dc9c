package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// Ready says when a program that Start starts is ready.
type Ready struct {
	what   string // "listening at tcp/22"
	within time.Duration
	check  func(*program) error // nil once it is
	before func(*program) error // what must hold before the program runs; may be nil
}

// readyBound is how long a program has to become ready unless Within says otherwise.
// What is ready is noticed at once; this is for what never is, on a busy machine.
const readyBound = 30 * time.Second

// readyPause is how long Start waits before it looks again.
const readyPause = 5 * time.Millisecond

// Within is the condition with another bound than 30 seconds.
func (r Ready) Within(bound time.Duration) Ready {
	r.within = bound
	return r
}

// Listening holds when a socket of the node listens at a port, of whichever address:
// "tcp" or "udp", and the port's number. Nobody may listen there before.
func Listening(network string, port uint16) Ready {
	what := fmt.Sprintf("%s/%d", network, port)
	check := func(p *program) error {
		taken, err := p.cmd.node.listens(network, port)
		if err == nil && !taken {
			err = errors.New("nobody does")
		}
		return err
	}
	before := func(p *program) error {
		if network != "tcp" && network != "udp" {
			return fmt.Errorf("listening at %q: that is neither tcp nor udp", network)
		}
		taken, err := p.cmd.node.listens(network, port)
		if err == nil && taken {
			err = fmt.Errorf("somebody listens at %s already", what)
		}
		return err
	}
	return Ready{what: "listening at " + what, check: check, before: before}
}

// listens says whether a socket of the node listens at a port.
func (n *Node) listens(network string, port uint16) (taken bool, err error) {
	err = n.Do(func() error {
		sockets, err := inspect.Sockets(tableBound)
		taken = slices.ContainsFunc(sockets, func(s inspect.Socket) bool {
			return strings.TrimSuffix(s.Kind, "6") == network && s.Local.Port() == port && s.Remote.Port() == 0
		})
		return err
	})
	return taken, err
}

// Printed holds when what the program has said, on its standard output and error,
// matches a regular expression of package regexp. What goes to an *os.File, or into a
// pipe of Cmd.StdoutPipe, is not seen.
func Printed(expression string) Ready {
	match, bad := regexp.Compile(expression)
	return Ready{
		what:   fmt.Sprintf("printing %q", expression),
		before: func(*program) error { return bad },
		check: func(p *program) error {
			if !match.Match(p.log.all()) {
				return errors.New("it has not")
			}
			return nil
		},
	}
}

// Exists holds when there is a file of that path, as the node's commands see it: a
// PID file, a unix socket.
func Exists(path string) Ready {
	return Ready{
		what: "a file " + path,
		check: func(p *program) error {
			return p.cmd.node.launch(func() error { _, err := os.Stat(path); return pathless(err) })
		},
		before: func(*program) error {
			if !filepath.IsAbs(path) {
				return fmt.Errorf("path %q is not absolute", path)
			}
			return nil
		},
	}
}

// When holds when f returns nil. It is called again and again, on one goroutine, and
// its last error is told when the program is not ready in time.
func When(f func() error) Ready {
	return Ready{
		what:  "When",
		check: func(*program) error { return f() },
		before: func(*program) error {
			if f == nil {
				return errors.New("a When without a function")
			}
			return nil
		},
	}
}

// Start starts a program and returns when it is ready: when each condition has held
// once, or at once if there is none. A program that ends before, or is not ready in
// time, fails the test with what it said last; so does one that dies later, unless the
// test has sent it a signal, waited for it, or ended its context. One that ends with
// status 0 may have gone into the background, and is waited for on. What it says is in
// the failure bundle, and in what Start returns. It ends with the lab.
func Start(tb TB, cmd *Cmd, conditions ...Ready) *Log {
	tb.Helper()
	p, err := begin(cmd, conditions)
	if err == nil {
		tb.Cleanup(func() { p.mourn(tb) })
		err = p.await(conditions)
	}
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	return p.log
}

// program is a command that Start has started.
type program struct {
	cmd *Cmd
	log *Log
	// ready is whether it was, so that its later death is news.
	ready bool
}

func begin(cmd *Cmd, conditions []Ready) (*program, error) {
	if cmd == nil || cmd.node == nil {
		return nil, at(errNoNode, "start a program")
	}
	p := &program{cmd: cmd, log: &Log{}}
	for _, r := range conditions {
		if r.check == nil {
			return nil, p.at(errors.New("a Ready is made by Listening, Printed, Exists or When"))
		}
		if r.before != nil {
			if err := r.before(p); err != nil {
				return nil, p.at(err)
			}
		}
	}
	same := same(cmd.Stdout, cmd.Stderr)
	cmd.Stdout = p.log.beside(cmd.Stdout)
	if cmd.Stderr = p.log.beside(cmd.Stderr); same {
		cmd.Stderr = cmd.Stdout
	}
	cmd.node.lab.OnFailure("programs/"+cmd.node.name+"-"+filepath.Base(cmd.Path)+".log", func(w io.Writer) error {
		_, err := w.Write(p.log.all())
		return err
	})
	cmd.stays = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.wait() }()
	return p, nil
}

func (p *program) at(err error) error {
	return at(err, "node %s: start %s", p.cmd.node.name, p.cmd.Path)
}

// await waits for one condition after another.
func (p *program) await(conditions []Ready) error {
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for _, r := range conditions {
		bound := r.within
		if bound == 0 {
			bound = readyBound
		}
		ended := p.cmd.exited
		for deadline := time.Now().Add(bound); ; {
			err := r.check(p)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return p.at(fmt.Errorf("it is not ready after %s: %s: %w%s", bound, r.what, err, p.said()))
			}
			select {
			case <-tick.C:
			case <-ended:
				if ended = nil; !p.cmd.command.ProcessState.Success() {
					p.listen()
					return p.at(fmt.Errorf("it ended before it was ready: %s%s", p.cmd.command.ProcessState, p.said()))
				}
			}
		}
	}
	p.ready = true
	return nil
}

// mourn fails the test if the program has died of itself.
func (p *program) mourn(tb TB) {
	tb.Helper()
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.cmd.Pid(), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil && info.Signo == 0 {
		return // it runs
	}
	<-p.cmd.exited
	p.listen()
	state := p.cmd.command.ProcessState
	if !p.ready || state.Success() || p.cmd.expected.Load() || p.cmd.ctx.Err() != nil || p.cmd.node.lab.ending() {
		return
	}
	tb.Errorf("%v", at(fmt.Errorf("it died during the test: %s%s", state, p.said()), "node %s: %s", p.cmd.node.name, p.cmd.Path))
}

// listen waits until all is read that a program which has ended has said. A child of
// its may go on talking: for that it does not wait long.
func (p *program) listen() {
	select {
	case <-p.cmd.done:
	case <-time.After(waitDelay):
	}
}

// ending says whether Down was called.
func (l *Lab) ending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isEnding
}

// lastLines is how much of a program's output an error has.
const lastLines = 20

func (p *program) said() string {
	lines := strings.Split(strings.TrimSpace(string(p.log.all())), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return "; it said nothing"
	}
	if left := len(lines) - lastLines; left > 0 {
		lines = append([]string{"(" + strconv.Itoa(left) + " lines before)"}, lines[left:]...)
	}
	return "; it said last:\n\t" + strings.Join(lines, "\n\t")
}

// Log is what a program has said, its standard output and error in one.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
	cut  bool
}

// logBound is how much is kept: what comes later is dropped, for a program that says
// so much says the same.
const logBound = 4 << 20

// String is what it has said so far; 4 MiB of it at most.
func (l *Log) String() string {
	if l == nil {
		return ""
	}
	return string(l.all())
}

func (l *Log) all() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

// Write adds to it.
func (l *Log) Write(text []byte) (int, error) {
	if l == nil {
		return 0, errNoNode
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	room := max(0, logBound-l.text.Len())
	l.text.Write(text[:min(room, len(text))])
	if len(text) > room && !l.cut {
		l.cut = true
		l.text.WriteString("\n(what came after this was dropped)\n")
	}
	return len(text), nil
}

// beside is a writer to the log and to another, which may be nil. A file is left alone.
func (l *Log) beside(other io.Writer) io.Writer {
	if other == nil {
		return l
	}
	if _, isFile := other.(*os.File); isFile {
		return other
	}
	return io.MultiWriter(l, other)
}
