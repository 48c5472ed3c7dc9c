package probes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// Connection is a conversation that lives, from Connect until Close or the end of the
// asker's lab: what tracks connections knows it, whatever the rules have become since.
type Connection struct {
	from  *harness.Node
	to    Target
	name  string
	probe Probe
	mu    sync.Mutex // held while it is asked
	lines []*line    // one for each address
	over  bool
}

// line is a conversation with one address: what of a probe is kept for the next.
type line struct {
	first  asking // how it was opened
	socket *socket
	port   uint16
	echoes *echoes
	by     *harness.Node // who has a connection
	watch  *watch.Watch
	trail  *watch.Trail // of a connection: its packets have numbers
	said   int          // bytes over a connection
	doubt  string       // an answer may yet come of what was asked last; "" where none can
	ended  string       // why nothing more can be asked; "" where it can
}

// Connect opens a connection, and keeps it: a TCP connection, or the ports and the id that
// datagrams and echoes have in common. It is opened under watch, and with an answer: of a
// responder (see Serve), or by the probe's words. Each time it is asked a responder is to sign
// anew, and words are said anew from the first Send on; what is awaited before that is a greeting.
//
//	conn, err := probes.Connect(ctx, client, server, probes.TCP(22))
//	Expect(fw.Nft(ban)).To(Succeed())
//	Expect(conn.Watch(ctx)).To(probes.Reach(server, probes.TCP(22))) // a ban is for new connections
//
// A target with several addresses is connected to at each of them. The error says why one did
// not answer.
func Connect(ctx context.Context, from *harness.Node, to Target, p Probe) (*Connection, error) {
	w, addrs, name, err := toWatch(ctx, from, to, p)
	if err == nil && p.kind.unserved {
		err = fmt.Errorf("probe %s is asked for no answer: use TCP, UDP or ICMP", p)
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &Connection{from: from, to: to, name: name, probe: p}
	for _, addr := range addrs {
		l := &line{watch: w}
		if l.first, err = newAsking(ctx, from, to, name, addr, p); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		c.lines = append(c.lines, l)
	}
	from.OnGone(c.Close)
	if err := c.open(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect %s -> %s %s: %w", from, name, p, err)
	}
	return c, nil
}

// open asks the first time.
func (c *Connection) open(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	result, err := c.each(ctx, true)
	if err != nil {
		return err
	}
	for i, r := range result.All() {
		switch l := c.lines[i]; {
		case r.Outcome != Answered:
			return fmt.Errorf("it is not answered:\n%s", r.GomegaString())
		case !r.sure():
			return fmt.Errorf("%s: who answered was not seen", r)
		case c.probe.kind.socket != unix.SOCK_STREAM:
		case c.probe.words == nil && !r.signed:
			return errors.New("nothing can be asked over the connection: let a responder sign (Serve), or say words (Send, Await)")
		default:
			l.by = r.by
		}
	}
	return nil
}

// Ask asks over the connection as Ask does. By is the node that has it. Bare datagrams and echoes
// are taken for the target's own only where they are signed: see Watch.
func (c *Connection) Ask(ctx context.Context) (Result, error) { return c.ask(ctx, "ask", false) }

// Watch asks over the connection as Watch does. What was dropped of a TCP connection before is
// sent again by the asker's kernel, and what is new after that: every 0.2 seconds at first, and then
// every second, before Linux 6.15 more and more seldom. Give a probe that is asked where much
// was dropped before as much time (Within).
func (c *Connection) Watch(ctx context.Context) (Result, error) { return c.ask(ctx, "watch", true) }

func (c *Connection) ask(ctx context.Context, how string, watched bool) (Result, error) {
	switch {
	case ctx == nil:
		return Result{}, fmt.Errorf("%s: %w", how, errNoContext)
	case c == nil || c.from == nil:
		return Result{}, fmt.Errorf("%s: there is no connection: ask over what Connect returns without an error", how)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return Result{}, fmt.Errorf("%s: %s was closed", how, c)
	}
	for _, l := range c.lines {
		if err := l.ready(); err != nil {
			return Result{}, fmt.Errorf("%s: %s: %w", how, c, err)
		}
	}
	if watch.Covering() {
		_, end := cover(watchedLabs(c.from, c.to), c.probe)
		defer end()
	}
	result, err := c.each(ctx, watched)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", how, c, err)
	}
	return result, nil
}

// each asks at every address at once.
func (c *Connection) each(ctx context.Context, watched bool) (Result, error) {
	results, errs := make([]Result, len(c.lines)), make([]error, len(c.lines))
	var asking sync.WaitGroup
	for i, l := range c.lines {
		asking.Go(func() { results[i], errs[i] = l.ask(ctx, watched) })
	}
	asking.Wait()
	return worst(results), errors.Join(errs...)
}

// String is who has the connection to whom, and of which kind.
func (c *Connection) String() string {
	if c == nil || c.from == nil {
		return "no connection"
	}
	return fmt.Sprintf("the connection %s -> %s %s", c.from, c.name, c.probe)
}

// Close ends the connection: a TCP connection by a reset. It may be called more than once.
func (c *Connection) Close() {
	if c == nil {
		return // Connect failed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		l.close()
	}
	c.over = true
}

// close gives up what is kept.
func (l *line) close() {
	if l.socket != nil {
		l.socket.close()
	}
	if l.echoes != nil {
		l.echoes.close()
	}
	if l.trail != nil {
		l.watch.Release(l.trail)
	}
	l.socket, l.echoes, l.trail = nil, nil, nil
}

// ready says why nothing can be asked.
func (l *line) ready() error {
	p := l.first.probe
	more := requestSize
	if p.words != nil {
		more = 0
		for _, text := range p.words.sent() {
			more += len(text)
		}
	}
	switch {
	case l.ended != "":
		return fmt.Errorf("it has ended: %s: connect anew", l.ended)
	case l.trail != nil && l.said+more > mostSent:
		return fmt.Errorf("%d bytes were said over it, of %d that it has numbers for: connect anew", l.said, mostSent)
	case l.doubt != "":
		return fmt.Errorf("an answer may yet come to what was asked before, and would be taken for the next one's: %s: connect anew, or let a responder sign (Serve)", l.doubt)
	}
	return nil
}

// ask asks over the line.
func (l *line) ask(ctx context.Context, watched bool) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	a := l.first.afresh()
	a.ctx, a.line = ctx, l
	var err error
	if watched {
		err = a.askUnder(l.watch, nil)
	} else {
		err = a.ask()
	}
	a.result.kept = true
	l.learn(a.result, err)
	return a.result, err
}

// learn keeps what a result, or an error, says of the next.
func (l *line) learn(r Result, err error) {
	l.doubt = ""
	isStream := r.Probe.kind.socket == unix.SOCK_STREAM
	stopped := r.Cause != nil && r.Cause.Policy && r.Cause.Leg == evidence.Request && r.waits == ""
	switch {
	case err != nil && !l.tells(r):
		l.doubt = err.Error()
	case isStream && l.socket != nil && lives(l.socket.fd):
	case isStream && (r.Outcome == Refused || r.Outcome == Rejected || r.Outcome == Unsent):
		l.ended = r.String()
	case r.Outcome == Silent && !stopped && !l.tells(r):
		l.doubt = r.String()
	}
}

// tells says whether it is known what an answer is the answer to.
func (l *line) tells(r Result) bool {
	if r.Probe.kind.socket != unix.SOCK_DGRAM { // numbers and acknowledgements tell
		return true
	}
	return r.Probe.words == nil && slices.ContainsFunc(l.first.expected(), func(n *harness.Node) bool { return isServed(n, r.Probe) })
}
