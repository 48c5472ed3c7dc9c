package truth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// oracle asks in a lab of its own with plain sockets, one question after another.
type oracle struct {
	lab   *harness.Lab
	book  *book
	ears  *ears
	hands *hands
	bound time.Duration
	// patient is how many tries more wait until a kernel has asked once more, where what is
	// asked next may be treated in another way.
	patient int
	// serves are the nodes with services, and for what.
	serves map[string]bool
}

// calm is how long nothing has to come, with nothing under way and no program at work,
// before it is said that nothing comes: in a network without slow parts all is there
// when the sending returns.
const calm = 60 * time.Millisecond

// late is how late this process may hear of what the kernel has long had, on a machine
// that has much to do.
const late = 3 * time.Second

// retransmits is when TCP has sent its request once more, and it had time to arrive.
const retransmits = 1300 * time.Millisecond

// patience is how many silent tries of a lab wait that long: all would take minutes.
const patience = 2

func (w *world) oracle(s *scope) *oracle {
	lab := w.up(s)
	o := &oracle{lab: lab, hands: &s.hands, serves: map[string]bool{}}
	for _, s := range w.services {
		o.serves[s.node+" "+s.network] = true
	}
	o.book = w.serve(s, lab, true)
	o.ears = listen(s, lab, w.spoken()...)
	if w.remembers() {
		o.patient = patience
	}
	return o
}

// says is how much a try says, but for the end of the line: as much as the library's
// probes do, since rules may go by that.
var says = map[string]int{icmp: 56, tcp: 23, udp: 55, gre: 24}

// ask makes a try.
func (o *oracle) ask(ctx context.Context, t try) fact {
	o.bound = calm
	if o.patient > 0 {
		o.bound = retransmits
	}
	token := fmt.Sprintf("token-%016x", rand.Uint64())
	token += strings.Repeat(".", says[t.kind]-len(token))
	if t.odd {
		token = fmt.Sprintf("t%03x", rand.Uint32()&0xfff)
		t.sport = 10000 + uint16(rand.Uint32N(20000))
	}
	_, first := o.book.since(0)
	o.ears.heard(t, token) // nothing of an earlier one
	before, err := counted(o.lab)
	f := fact{try: t, arrived: map[string]int{}, accepted: map[string]bool{}, before: before, began: time.Now()}
	if err != nil {
		f.unsent = err
		return f
	}
	switch t.kind {
	case tcp:
		o.askStream(ctx, &f, token)
	case udp:
		o.askDatagram(ctx, &f, token)
	case gre:
		o.send(ctx, &f, token)
	default:
		o.askEcho(ctx, &f, token)
	}
	settle(ctx, o.idle)
	o.overhear(&f, token)
	if !f.answered && !f.opened && (f.unsent == nil || errors.Is(f.unsent, context.Canceled)) {
		o.patient--
	}
	entries, _ := o.book.since(first)
	for _, e := range entries {
		if e.network == t.kind && (e.text == "" || strings.HasPrefix(e.text, token)) {
			f.accepted[e.node] = true
		}
	}
	if t.kind == tcp {
		f.connected = o.opened(before)
	}
	if t.kind == icmp && f.answered {
		f.by = "" // kernels do not say who they are
		for node := range f.arrived {
			f.by = strings.TrimPrefix(f.by+" "+node, " ")
		}
	}
	return f
}

// as has this thread make what belongs to a user, until it is taken back: the user
// whose files they would be is the one that a socket is of. Where the sandbox has no
// such user nothing changes.
func as(uid int) (back func()) {
	if uid == 0 {
		return func() {}
	}
	_ = unix.Setfsuid(uid)
	return func() { _ = unix.Setfsuid(0) }
}

// overhear adds what was delivered since.
func (o *oracle) overhear(f *fact, token string) {
	for node, n := range o.ears.heard(f.try, token) {
		f.arrived[node] += n
	}
}

// unread says whether a datagram was delivered, or a connection made, at a node with
// services that have not read it yet, nor has the kernel said that nobody has the port.
func (o *oracle) unread(f *fact, token string) bool {
	o.overhear(f, token)
	entries, _ := o.book.since(0)
	after, err := counted(o.lab)
	for node := range f.arrived {
		there := f.before.moved(after, node, "UdpNoPorts", "Udp6NoPorts") == 0
		if f.kind == tcp {
			there = f.before.moved(after, node, "TcpPassiveOpens") > 0
		}
		read := slices.ContainsFunc(entries, func(e entry) bool { return e.node == node && strings.HasPrefix(e.text, token) })
		if err == nil && there && !read && o.serves[node+" "+f.kind] {
			return true
		}
	}
	return false
}

// opened are the nodes that took a connection since.
func (o *oracle) opened(before count) (nodes []string) {
	after, err := counted(o.lab)
	for _, node := range o.lab.Nodes() {
		if err == nil && before.moved(after, node.Name(), "TcpPassiveOpens") > 0 {
			nodes = append(nodes, node.Name())
		}
	}
	return nodes
}

func (o *oracle) askStream(ctx context.Context, f *fact, token string) {
	bound := o.bound // the next try has its own, and this may not have begun by then
	dialing, cancel := context.WithTimeout(ctx, bound+late)
	defer cancel()
	go func() {
		turns(dialing, bound)
		settle(dialing, o.hands.idle)
		if len(o.opened(f.before)) == 0 {
			cancel()
		}
	}()
	conn, err := o.dial(dialing, tcp, f.try)
	if err != nil {
		f.unsent = err
		return
	}
	defer conn.Close()
	if of, ok := conn.(*net.TCPConn); ok && f.sport > 0 {
		_ = of.SetLinger(0) // its port is to be free for the next try
	}
	f.opened = true
	_, _ = conn.Write([]byte(token + "\n"))
	o.hear(ctx, f, conn, bufio.NewReader(conn).ReadString, token)
}

func (o *oracle) askDatagram(ctx context.Context, f *fact, token string) {
	conn, err := o.dial(ctx, udp, f.try)
	if err != nil {
		f.unsent = err
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(token + "\n")); err != nil {
		f.unsent = err
		return
	}
	read := func(byte) (string, error) {
		buf := make([]byte, 2048)
		n, err := conn.Read(buf)
		return string(buf[:n]), err
	}
	o.hear(ctx, f, conn, read, token)
}

// hear waits for the answer: the bound, and longer while a service is at it; at the
// end it looks once more, for what came while this process had no turn.
func (o *oracle) hear(ctx context.Context, f *fact, conn net.Conn, read func(byte) (string, error), token string) {
	end := time.Now().Add(o.bound + late)
	bound, last := o.bound, false
	for ctx.Err() == nil {
		idle, missed := o.idle(), pulse()
		_ = conn.SetReadDeadline(time.Now().Add(bound))
		line, err := read('\n')
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), ": "+token); ok {
			f.by, f.answered, f.took = strings.TrimPrefix(name, "I am "), true, time.Since(f.began)
			return
		}
		switch {
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			f.unsent = err
			return
		case last:
			return
		case idle && o.idle() && pulse() == missed && !o.unread(f, token) || time.Now().After(end):
			bound, last = again, true
		}
	}
}

// idle says whether no service and no program of the lab is at work.
func (o *oracle) idle() bool { return o.book.idle() && o.hands.idle() }

// settle waits until nothing is under way: what a program hands on is at the next when
// it has done so, thus it is looked more than once.
func settle(ctx context.Context, idle func() bool) {
	end := time.Now().Add(late)
	for looks := 0; looks < 3 && ctx.Err() == nil && time.Now().Before(end); looks++ {
		if !idle() {
			looks = -1
		}
		pause(ctx, again/4)
	}
}

// turns lets time pass in which this process has its turns.
func turns(ctx context.Context, d time.Duration) {
	for missed := pulse(); d > 0 && ctx.Err() == nil; {
		pause(ctx, d)
		now := pulse()
		d, missed = now-missed, now
	}
}

// again is how long the last look is.
const again = 20 * time.Millisecond
