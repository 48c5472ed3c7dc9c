package truth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// try is a question that a plain socket asks.
type try struct {
	from string
	src  netip.Addr // the zero Addr is the kernel's choice
	to   netip.Addr
	kind string
	port uint16
	// sport is the source port; 0 is any. uid is whose socket it is.
	sport uint16
	uid   int
}

// fact is what came of a try.
type fact struct {
	try
	unsent    error
	arrived   map[string]int  // packets of the request that were delivered, by node
	connected []string        // of TCP: nodes that had a connection of it in their socket list
	accepted  map[string]bool // whose plain service had the connection, or read the datagram
	by        string          // who says in the answer that it is
	answered  bool            // an answer came from the address that was asked
	opened    bool            // of TCP: connected
	before    count           // the kernels' counters, before it was asked
}

func (f fact) String() string {
	source := ""
	if f.src.IsValid() {
		source = " from " + f.src.String()
	}
	if f.sport > 0 {
		source += fmt.Sprintf(" from port %d", f.sport)
	}
	if f.uid > 0 {
		source += fmt.Sprintf(" as user %d", f.uid)
	}
	text := fmt.Sprintf("%s%s asks %s %s/%d: ", f.from, source, f.to, f.kind, f.port)
	switch {
	case f.answered:
		text += "answered by " + f.by
	case f.opened:
		text += "connected, but no answer"
	case f.unsent != nil:
		text += f.unsent.Error()
	default:
		text += "no answer"
	}
	return text + fmt.Sprintf(", delivered at %v, read at %v, connected to %v", f.arrived, slices.Sorted(maps.Keys(f.accepted)), f.connected)
}

// oracle asks in a lab of its own with plain sockets, one question after another.
type oracle struct {
	lab   *harness.Lab
	book  *book
	ears  *ears
	slow  time.Duration
	bound time.Duration
	// serves are the nodes with services, and for what.
	serves map[string]bool
}

// calm is how long nothing has to come before it is said that nothing comes: in a
// network without slow parts all is there when the sending returns.
const calm = 120 * time.Millisecond

// late is how late this process may hear of what the kernel has long had, on a machine
// that has much to do.
const late = 3 * time.Second

// retransmits is when TCP has sent its request once more, and it had time to arrive.
const retransmits = 1300 * time.Millisecond

func (w *world) oracle(s *scope) *oracle {
	lab := w.up(s)
	o := &oracle{lab: lab, slow: w.slow(), bound: calm + w.slow(), serves: map[string]bool{}}
	for _, s := range w.services {
		o.serves[s.node+" "+s.network] = true
	}
	o.book = w.serve(s, lab, true)
	o.ears = listen(s, lab)
	if w.remembers() {
		o.bound = retransmits + w.slow()
	}
	return o
}

// ask makes a try.
func (o *oracle) ask(ctx context.Context, t try) fact {
	token := fmt.Sprintf("token-%016x", rand.Uint64())
	_, first := o.book.since(0)
	o.ears.heard(t, token) // nothing of an earlier one
	before, err := counted(o.lab)
	f := fact{try: t, arrived: map[string]int{}, accepted: map[string]bool{}, before: before}
	if err != nil {
		f.unsent = err
		return f
	}
	switch t.kind {
	case tcp:
		o.askStream(ctx, &f, token)
	case udp:
		o.askDatagram(ctx, &f, token)
	default:
		o.askEcho(ctx, &f, token)
	}
	pause(ctx, o.slow)
	o.overhear(&f, token)
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

// dial opens a socket in the asker's node.
func (o *oracle) dial(ctx context.Context, network string, t try) (conn net.Conn, err error) {
	at := netip.AddrPortFrom(t.to, t.port)
	if !t.src.IsValid() && t.sport == 0 && t.uid == 0 {
		return o.lab.Node(t.from).Dial(ctx, network, at)
	}
	src := t.src
	if !src.IsValid() {
		src = map[bool]netip.Addr{false: netip.IPv4Unspecified(), true: netip.IPv6Unspecified()}[t.to.Is6()]
	}
	err = o.lab.Node(t.from).Do(func() error {
		defer as(t.uid)()
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, t.sport)), FallbackDelay: -1}
		if network == udp {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, t.sport))
		}
		conn, err = dialer.DialContext(ctx, network, at.String())
		return err
	})
	return conn, err
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
	dialing, cancel := context.WithTimeout(ctx, o.bound+late)
	defer cancel()
	defer time.AfterFunc(o.bound, func() {
		if len(o.opened(f.before)) == 0 {
			cancel()
		}
	}).Stop()
	conn, err := o.dial(dialing, tcp, f.try)
	if err != nil {
		f.unsent = err
		return
	}
	defer conn.Close()
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
		idle := o.book.idle()
		_ = conn.SetReadDeadline(time.Now().Add(bound))
		line, err := read('\n')
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), ": "+token); ok {
			f.by, f.answered = strings.TrimPrefix(name, "I am "), true
			return
		}
		switch {
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			f.unsent = err
			return
		case last:
			return
		case idle && o.book.idle() && !o.unread(f, token) || time.Now().After(end):
			bound, last = again, true
		}
	}
}

// again is how long the last look is.
const again = 20 * time.Millisecond

// askEcho asks with a raw socket of package net.
func (o *oracle) askEcho(ctx context.Context, f *fact, token string) {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if f.to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	var conn *net.IPConn
	err := o.lab.Node(f.from).Do(func() (err error) {
		defer as(f.uid)()
		var local *net.IPAddr
		if f.src.IsValid() {
			local = &net.IPAddr{IP: f.src.AsSlice()}
		}
		conn, err = net.DialIP(network, local, &net.IPAddr{IP: f.to.AsSlice()})
		return err
	})
	if err != nil {
		f.unsent = err
		return
	}
	defer conn.Close()
	id := uint16(rand.Uint32())
	if _, err := conn.Write(echo(request, id, token)); err != nil {
		f.unsent = err
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(o.bound))
	buf := make([]byte, 2048)
	for last := false; ctx.Err() == nil; {
		n, _, err := conn.ReadFromIP(buf) // without the IP header
		if errors.Is(err, os.ErrDeadlineExceeded) && !last {
			last = true
			_ = conn.SetReadDeadline(time.Now().Add(again))
			continue
		}
		if err != nil {
			if !last {
				f.unsent = err
			}
			return
		}
		if n > 8 && buf[0] == reply && strings.Contains(string(buf[:n]), token) {
			f.answered = true
			return
		}
	}
}

// echo is an echo request (RFC 792, RFC 4443); the kernel adds the checksum of IPv6.
func echo(kind byte, id uint16, token string) []byte {
	m := append([]byte{kind, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}, token...)
	sum := uint32(0)
	for i := 0; i+1 < len(m); i += 2 {
		sum += uint32(m[i])<<8 | uint32(m[i+1])
	}
	if len(m)%2 == 1 {
		sum += uint32(m[len(m)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	m[2], m[3] = byte(^sum>>8), byte(^sum)
	return m
}
