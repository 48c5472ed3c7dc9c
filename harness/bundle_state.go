package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// answerBound is how long the kernel may take for one answer, and a program that
// was killed for its end.
const answerBound = 2 * time.Second

// state reads what a namespace's kernel knows, as text for people. All of it runs
// on one thread that is in there.
type state struct {
	ctx   context.Context
	in    inspect.Namespace
	names map[int]string // of interfaces, by index
}

// stateOf writes the state of a namespace. What cannot be read is said in its
// place, and the rest is read all the same.
func (b *bundle) stateOf(g *ground) func(io.Writer) error {
	return func(w io.Writer) error {
		return withState(b.ctx, g, func(s *state) error { return s.write(w) })
	}
}

// withState runs f on a thread that is in the namespace.
func withState(ctx context.Context, g *ground, f func(*state) error) error {
	return once(g.enter, func() error {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return at(err, "open netlink handle")
		}
		defer handle.Close()
		_ = handle.SetSocketTimeout(answerBound)
		here := func(f func() error) error { return f() } // this thread is in there
		return f(&state{ctx: ctx, in: inspect.Namespace{Handle: handle, Do: here}, names: map[int]string{}})
	})
}

func (s *state) write(w io.Writer) error {
	var failed []error
	for _, part := range []struct {
		title string
		write func(io.Writer) error
	}{
		{"links and addresses", s.links},
		{"wireguard", s.wireguard},
		{"routes", s.routes},
		{"policy routing rules", s.rules},
		{"neighbours", s.neighbours},
		{"nftables", s.nftables},
		{"iptables", s.iptables(unix.AF_INET)},
		{"ip6tables", s.iptables(unix.AF_INET6)},
		{"tracked connections", s.conntrack},
		{"sockets", s.sockets},
	} {
		text := new(bytes.Buffer)
		if err := part.write(text); err != nil {
			failed = append(failed, at(err, "%s", part.title))
			fmt.Fprintf(text, "cannot be read: %v\n", err)
		}
		if text.Len() == 0 {
			text.WriteString("none\n")
		}
		if _, err := fmt.Fprintf(w, "== %s\n\n%s\n", part.title, text); err != nil {
			return err // no room, or no time
		}
	}
	return errors.Join(failed...)
}

// name is what an interface is called; a number where it is gone.
func (s *state) name(index int) string {
	if name, ok := s.names[index]; ok {
		return name
	}
	return fmt.Sprintf("if%d", index)
}

// whole drops the error of a dump that was changed under way: what there is of it
// is better than nothing.
func whole(err error) error {
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	return err
}

// program runs one that reads and ends by itself, in the namespace.
func (s *state) program(w io.Writer, path string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(s.ctx, path, args...)
	cmd.Stdout, cmd.Stderr = w, &said
	cmd.WaitDelay = answerBound
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Run(); err != nil {
		return &saidError{at(err, "%s", path), string(bytes.TrimSpace(said.Bytes()))}
	}
	return nil
}

// own opens a file of the calling thread's namespace; nil where there is none.
func own(name string) (*os.File, error) {
	file, err := os.Open("/proc/thread-self/net/" + name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return file, err
}
