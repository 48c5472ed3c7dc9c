package probes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// frame is how a request is sent past neighbour discovery: by the node where it waits
// for a MAC, to the MAC that the plan gave the next one.
type frame struct {
	node  *harness.Node
	index int // of the interface
	mac   [6]byte
	from  netip.Addr // the request's source there
	ttl   uint8
	tos   uint8
	label uint32     // the flow label, of IPv6
	next  netip.Addr // whose MAC it is
}

// hops is the TTL of what is sent: Linux's default, unless another was chosen.
func (s source) hops() uint8 {
	const own = 64
	if s.ttl.is {
		return uint8(s.ttl.n)
	}
	return own
}

// frameFor is the frame for a request that waits for a neighbour; false for another end,
// and where the lab does not know the MAC.
func frameFor(r Result) (f frame, ok bool) {
	if r.Probe.source.parted() || r.Cause == nil || kindOf(*r.Cause) != evidence.Neighbour || r.Cause.Leg != evidence.Request || r.from == nil {
		return frame{}, false
	}
	where, link := r.Cause.Node, r.Cause.Interface
	if d := r.Cause.Discovery; d != nil {
		where, link = d.Node, d.Interface
	}
	node := nodeNamed(r.from.Lab(), where)
	if node == nil || node.Alone() {
		return frame{}, false
	}
	f = frame{node: node, from: r.Probe.source.addr.WithZone(""), ttl: r.Probe.source.hops(), tos: r.Probe.source.tos()}
	came := f.node == r.from
	for _, s := range r.Timeline {
		if s.Node != where || s.Role != evidence.Request {
			continue
		}
		if s.Destination != r.Addr.WithZone("") {
			return frame{}, false // it was translated, and so may its port have been
		}
		if f.from = s.Source; s.Direction == evidence.In && s.TTL > 0 {
			f.ttl, came = uint8(s.TTL-1), true
		}
	}
	if !came || !f.lookUp(r, link) {
		return frame{}, false
	}
	return f, f.know(link)
}

// lookUp asks the node's kernel for the next one on the way.
func (f *frame) lookUp(r Result, link string) bool {
	to := r.Addr
	err := look(f.node, func(ns inspect.Namespace) error {
		out, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		f.index, f.next = out.Index, to.WithZone("")
		if to.IsLinkLocalUnicast() {
			return nil
		}
		q := inspect.Question{To: f.next}
		if f.node == r.from {
			q = r.Probe.source.ask(q)
		}
		way, err := ns.Lookup(q)
		if err != nil || way.Errno != 0 || way.Out != out.Index {
			return fmt.Errorf("another way: %w", errors.Join(err, way.Errno))
		}
		f.next = way.Next(f.next)
		if !f.from.IsValid() {
			f.from = way.From
		}
		return nil
	})
	return err == nil && f.from.IsValid()
}

// askFrame sends the probe's first packet as a frame. Nobody waits for an answer: what
// the watch sees of it is what it is for.
func (a *asking) askFrame() error {
	v6 := a.addr.Is6()
	port := a.ownPort()
	packet, err := a.probe.kind.framed(a, wire.Datagram{
		Source: netip.AddrPortFrom(a.frame.from, port), Destination: netip.AddrPortFrom(a.addr, a.probe.port), TTL: a.frame.ttl, TOS: a.frame.tos, Label: a.frame.label,
	})
	if err != nil {
		return err
	}
	protocol := uint16(unix.ETH_P_IP)
	if v6 {
		protocol = unix.ETH_P_IPV6
	}
	var fd int
	err = a.frame.node.Do(func() error { // of no protocol: it receives nothing
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	s, err := polled(fd)
	if err != nil {
		return err
	}
	defer s.close()
	a.begin()
	to := &unix.SockaddrLinklayer{Protocol: wire.Network16(protocol), Ifindex: a.frame.index, Halen: uint8(len(a.frame.mac))}
	copy(to.Addr[:], a.frame.mac[:])
	if err := unix.Sendto(fd, packet, 0, to); err != nil {
		return a.refusedLocally(err)
	}
	answered := func() bool { return a.watched.watch.Timeline(a.watched.trail).Answerer() != "" }
	if _, err := a.wait(s, false, answered); err != nil {
		return err
	}
	return a.silence()
}

// ownPort is the port of what no socket sends that the kernel gives one: the source's, or else one
// that nobody is given (RFC 6335), and that no earlier probe had, as long as there are such.
func (a *asking) ownPort() uint16 {
	const lowest, most = 49152, 16384
	if a.source.port != 0 {
		return a.source.port
	}
	fresh := freshOf(a.from, a.probe.kind.protocol, a.addr.Is6())
	port := lowest + uint16(rand.IntN(most))
	for range most {
		if fresh.take(port) {
			break
		}
		port = lowest + (port-lowest+1)%most
	}
	return port
}

// framed is the first packet of a probe that sockets send.
func (a *asking) framed(d wire.Datagram) ([]byte, error) {
	nonce := a.nonce()
	d.Payload = make([]byte, a.probe.payload())
	switch {
	case a.probe.words != nil && a.probe.kind.socket == unix.SOCK_DGRAM:
		said := a.probe.words.sent()
		if err := a.watched.watch.Says(a.watched.trail, d.Source.Port(), said); err != nil {
			return nil, err
		}
		d.Payload = []byte(said[0])
	case a.probe.kind.ports:
		d.Sequence = a.watched.trail.ISN()
		copy(d.Payload, makeRequest(nonce))
	default:
		copy(d.Payload, nonce[:])
	}
	return d.Build(a.probe.kind.protocol)
}
