package fence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// packet is what a channel sends.
type packet struct {
	protocol wire.Protocol // 0 is other
	other    uint8
	port     uint16
	size     int // of the payload, at least a nonce
	v6       bool
	to       netip.Addr // "" is the target's
	source   netip.Addr // the zero Addr is the sender's own
	frame    *frame     // nil is sent by the sender's kernel
}

const (
	// bound is how long a packet's end is waited for, where nothing is seen of it.
	bound = time.Second
	// patience is how long where what keeps it may pass: a neighbour is asked for again
	// after a second (retrans_time_ms).
	patience = 3 * time.Second
	// after is how long what was sent before a control may come in after it.
	after = 30 * time.Millisecond
	// settled is how long after a packet came in its end may still be told.
	settled = 2 * time.Millisecond
	// looks is between two looks at what was seen.
	looks = time.Millisecond
	ttl   = 64
)

// outcome is what became of a packet.
type outcome struct {
	arrived bool
	cause   evidence.Cause
	errno   unix.Errno
}

// ask sends a packet from the sandbox, and where it does not arrive the control.
func (c *check) ask(target *harness.Node, p packet) (Finding, error) {
	if cut := cmp.Or(target, c.world.Outside); c.apart(c.sandbox, cut) {
		return c.cut(target, cut, p)
	}
	if !p.to.IsValid() {
		var ok bool
		if p.to, ok = addrOf(c.sandbox, target, p.v6); !ok || !has(c.sandbox, p.v6) {
			return absent(fmt.Sprintf("%s and %s have no IPv%s address in common", c.sandbox, target, map[bool]string{true: "6", false: "4"}[p.v6]))
		}
	}
	got, err := c.send(c.sandbox, target, p)
	if err != nil {
		return Finding{}, err
	}
	if got.arrived {
		return arrived(target, p.to), nil
	}
	control := p
	control.source, control.frame = netip.Addr{}, nil
	passed, err := c.send(c.world.Free, target, control)
	if err != nil {
		return Finding{}, fmt.Errorf("control: %w", err)
	}
	return judge(got, passed, c.world.Free, name(target, p.to)), nil
}

// cut is the finding of a sandbox that nothing joins with where the packet is to go.
func (c *check) cut(target, end *harness.Node, p packet) (Finding, error) {
	if !p.to.IsValid() {
		var ok bool
		if p.to, ok = addrOf(c.world.Free, end, p.v6); !ok {
			return absent(fmt.Sprintf("%s has no such address", end))
		}
	}
	p.source, p.frame = netip.Addr{}, nil
	passed, err := c.send(c.world.Free, target, p)
	if err != nil {
		return Finding{}, fmt.Errorf("control: %w", err)
	}
	return judge(outcome{cause: verdict.NoPath(c.sandbox.Name(), end.Name())}, passed, c.world.Free, name(target, p.to)), nil
}

// judge weighs what ended a packet, and its control.
func judge(got, control outcome, free *harness.Node, to string) Finding {
	f := Finding{State: Unproven, Cause: &got.cause, Detail: got.cause.String(), Control: fmt.Sprintf("from %s it arrived at %s", free, to)}
	if !control.arrived {
		f.Control = fmt.Sprintf("from %s it did not arrive either: %s", free, control.cause)
		f.Detail = "the control failed: " + f.Control + "; of the sandbox's, " + f.Detail
		return f
	}
	if got.cause.Policy || got.cause.Kind == evidence.RPFilter || got.cause.Kind == evidence.Martian {
		f.State = Blocked
	}
	return f
}

// arrived is the finding of what came to where it was sent.
func arrived(at *harness.Node, addr netip.Addr) Finding {
	return Finding{State: Open, Detail: "it arrived at " + name(at, addr)}
}

func name(node *harness.Node, addr netip.Addr) string {
	if node == nil {
		return addr.String()
	}
	return fmt.Sprintf("%s (%s)", node, addr)
}

func has(node *harness.Node, v6 bool) bool {
	for _, addr := range node.Addrs() {
		if addr.Is6() == v6 {
			return true
		}
	}
	return false
}

// send sends a packet, and waits until its end is seen.
func (c *check) send(from, target *harness.Node, p packet) (outcome, error) {
	const lowest, ports = 49152, 16384 // RFC 6335
	source := lowest + uint16(rand.IntN(ports))
	flow := wire.Flow{From: c.watch.Label(from), Addr: p.to.WithZone(""), Protocol: p.protocol, Port: p.port, SourcePort: source}
	if p.protocol == 0 {
		flow.Protocol = wire.ICMP
	}
	if target != nil {
		flow.To = c.watch.Label(target)
	}
	trail, err := c.watch.Follow(flow)
	if err != nil {
		return outcome{}, err
	}
	defer c.watch.Done(trail)
	errno, err := c.emit(from, p, trail, source)
	if err != nil {
		return outcome{}, err
	}
	return c.await(trail, errno)
}

// await waits for the end of what was sent.
func (c *check) await(trail *watch.Trail, errno unix.Errno) (outcome, error) {
	o := outcome{errno: errno}
	if c.until(trail, errno, bound) {
		o.arrived = true
		return o, nil
	}
	if err := c.ctx.Err(); err != nil {
		return o, err
	}
	heard := watch.Heard{Errno: errno}
	if o.cause = c.watch.Explain(trail, heard); o.cause.Passing && errno == 0 {
		if o.arrived = c.until(trail, errno, patience-bound); o.arrived {
			return o, nil
		}
		o.cause = c.watch.Explain(trail, heard)
	}
	why, err := c.doubt(trail, o.cause)
	if err != nil {
		return o, err
	}
	if why != "" {
		o.cause.Policy = false
		o.cause.Detail += "; " + why
	}
	return o, c.ctx.Err()
}

// until waits until a packet has arrived, which it says, or has ended, or for a time.
func (c *check) until(trail *watch.Trail, errno unix.Errno, long time.Duration) (arrived bool) {
	ctx, cancel := context.WithTimeout(c.ctx, long)
	defer cancel()
	tick := time.NewTicker(looks)
	defer tick.Stop()
	var came time.Time
	for errno == 0 && ctx.Err() == nil && !c.watch.Over(trail) {
		if c.watch.Account(trail).Delivered() {
			if came.IsZero() {
				came = time.Now()
			}
			if time.Since(came) >= settled {
				return true
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return c.watch.Account(trail).Delivered()
}

// emit builds a packet and sends it: by the sender's kernel, which routes it and has it
// pass the node's own rules, or as a frame. The errno says that the kernel did not take it.
func (c *check) emit(from *harness.Node, p packet, trail *watch.Trail, port uint16) (errno unix.Errno, err error) {
	var fd int
	d := wire.Datagram{TTL: ttl, Sequence: trail.ISN(), Destination: netip.AddrPortFrom(p.to.WithZone(""), p.port)}
	own := p.source
	err = from.Do(func() error {
		if !own.IsValid() {
			var way inspect.Lookup
			err := inspect.Here(func(ns inspect.Namespace) (err error) {
				way, err = ns.Lookup(inspect.Question{To: p.to.WithZone("")})
				return err
			})
			if err != nil {
				return err
			}
			if own, errno = way.From, way.Errno; errno != 0 {
				return nil
			}
		}
		fd, err = p.socket()
		return err
	})
	if err != nil || errno != 0 {
		return errno, err
	}
	defer unix.Close(fd)
	d.Source = netip.AddrPortFrom(own, port)
	raw, err := p.build(d, trail)
	if err != nil {
		return 0, err
	}
	err = unix.Sendto(fd, p.frame.around(raw, p.v6), 0, p.sockaddr())
	if errors.As(err, &errno) {
		return errno, nil
	}
	return 0, err
}

// socket is made in the calling thread's namespace.
func (p packet) socket() (int, error) {
	switch {
	case p.frame != nil:
		return unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	case p.v6:
		return unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	}
	return unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
}

func (p packet) sockaddr() unix.Sockaddr {
	switch {
	case p.frame != nil:
		return &unix.SockaddrLinklayer{Ifindex: p.frame.index}
	case p.v6:
		return &unix.SockaddrInet6{Addr: p.to.As16()}
	}
	return &unix.SockaddrInet4{Addr: p.to.As4()}
}

// build makes the packet, with what it is known by.
func (p packet) build(d wire.Datagram, trail *watch.Trail) ([]byte, error) {
	nonce := trail.Flow.Nonce[:]
	if p.protocol == wire.UDP {
		d.Payload = append([]byte(wire.RequestWord), nonce...)
	} else if p.protocol != wire.TCP {
		d.Payload = append([]byte(nil), nonce...)
	}
	if more := p.size - len(d.Payload); more > 0 {
		d.Payload = append(d.Payload, make([]byte, more)...)
	}
	if p.protocol == 0 {
		return d.Other(p.other)
	}
	return d.Build(p.protocol)
}

// apart says whether no chain of links joins two nodes: a sandbox that has a loopback
// alone.
func (c *check) apart(a, b *harness.Node) bool {
	if a.Lab() != b.Lab() {
		return false
	}
	if c.islands == nil {
		c.islands = map[*harness.Node]int{}
		islands, err := a.Lab().Islands()
		if err != nil {
			return false
		}
		for i, island := range islands {
			for _, node := range island {
				c.islands[node] = i + 1
			}
		}
	}
	return c.islands[a] != c.islands[b]
}
