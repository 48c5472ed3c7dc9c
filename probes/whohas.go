package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// WhoHas asks on a link who has an address: by one ARP request, or one neighbour solicitation of
// IPv6. It listens for the whole time (0 is DefaultWithin), and tells all who answered: each by
// its node, which was seen to send the answer, and by the MAC that it told. Of nodes on the link
// that have the address and were not heard it tells why: the rule that ended the question or the
// answer (families arp, netdev, bridge, inet and ip6), a setting, or that the question did not
// come to them.
//
//	claims, err := probes.WhoHas(ctx, client, "lan", netip.MustParseAddr("10.0.1.7"), 0)
//	fmt.Println(claims)
//	// client asks at lan who has 10.0.1.7
//	//   server has it, at 02:00:00:00:00:07 (after 41µs)
//	//   spare has it, and was not heard: the ARP request was dropped at spare by policy drop of arp filter input
//	Expect(claims.Nodes()).To(ConsistOf("server"), "there is no address conflict")
//
// The question is sent as a frame, from the asker's address on the link, and so it passes by the
// asker's own rules, but for those of netdev's egress; what those do with an answer is told. It
// changes the neighbour tables of those who hear it, as any question does, and not the asker's.
func WhoHas(ctx context.Context, from *harness.Node, link string, addr netip.Addr, within time.Duration) (Claims, error) {
	if err := asks(ctx, from); err != nil {
		return Claims{}, fmt.Errorf("who has: %w", err)
	}
	switch addr = addr.Unmap().WithZone(""); {
	case within < 0:
		return Claims{}, fmt.Errorf("who has %s: within %s: a wait is longer than nothing; 0 is %s", addr, within, DefaultWithin)
	case !addr.IsValid(), addr.IsMulticast(), addr.IsUnspecified(), addr.IsLoopback():
		return Claims{}, fmt.Errorf("who has %s: nobody has that address on a link", addr)
	case within == 0:
		within = DefaultWithin
	}
	q := whoHas{from: from, link: link, within: within, Question: wire.Question{Target: addr}}
	err := q.ask(ctx)
	if err != nil {
		err = fmt.Errorf("node %s: interface %s: who has %s: %w", from, link, addr, err)
	}
	return q.claims, err
}

// whoHas is a question under way.
type whoHas struct {
	wire.Question
	from   *harness.Node
	link   string
	index  int // of the interface
	within time.Duration
	watch  *watch.Watch
	begun  time.Time
	heard  []verdict.Discovered
	owners []*harness.Node // who has the address, afterwards
	claims Claims
}

func (q *whoHas) ask(ctx context.Context) (err error) {
	if err = q.lookUp(); err != nil {
		return err
	}
	if q.watch, err = watchOf(q.from, q.from.Lab()); err != nil {
		return err
	}
	// Of its packets a watch knows nothing; but what is lost meanwhile is lost to it.
	trail, err := q.watch.Follow(wire.Flow{From: q.watch.Label(q.from), Addr: q.Target, Protocol: wire.Other})
	if err != nil {
		return err
	}
	defer q.watch.Done(trail)
	if err = q.send(); err != nil {
		return err
	}
	over := time.NewTimer(q.within)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	q.watch.Drain()
	for _, d := range q.watch.Discoveries(q.begun) {
		if q.isOurs(d) {
			q.heard = append(q.heard, d)
		}
	}
	if q.watch.Lost(trail) {
		return errors.New("some of what was to be seen was lost, for want of space: ask again")
	}
	return q.conclude()
}

// lookUp reads the asker's end of the link.
func (q *whoHas) lookUp() error {
	return q.from.Do(func() error {
		own, err := net.InterfaceByName(q.link)
		if err != nil {
			return errors.New("there is no such interface")
		}
		if q.index = own.Index; len(own.HardwareAddr) != len(q.MAC) {
			return errors.New("it has no MAC, so nobody is asked for one")
		}
		q.MAC = wire.MAC(own.HardwareAddr)
		addrs, err := own.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			ipnet, is := a.(*net.IPNet)
			if !is {
				continue
			}
			ip, _ := netip.AddrFromSlice(ipnet.IP)
			if ip = ip.Unmap(); ip.Is4() != q.Target.Is4() {
				continue
			}
			if near := ipnet.Contains(q.Target.AsSlice()); near || !q.Source.IsValid() {
				if q.Source = ip; near {
					break
				}
			}
		}
		return nil
	})
}

// send sends the question as a frame.
func (q *whoHas) send() error {
	ethernet, mac, packet := q.Build()
	return q.from.Do(func() error { // of no protocol: it receives nothing
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open packet socket: %w", err)
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Protocol: wire.Network16(ethernet), Ifindex: q.index, Halen: uint8(len(mac))}
		copy(to.Addr[:], mac[:])
		q.begun = time.Now()
		switch err := unix.Sendto(fd, packet, 0, to); err {
		case nil:
			return nil
		case unix.ENETDOWN:
			return errors.New("it is down")
		case unix.ENOBUFS: // what is dropped on its way out is told as that
			return errors.New("what is to leave there is dropped, by a rule of netdev's egress or by tc")
		default:
			return fmt.Errorf("send: %w", err)
		}
	})
}

// isOurs says whether a packet is the question, or an answer to it. Who has no address yet is
// answered at that of nobody, or all.
func (q *whoHas) isOurs(d verdict.Discovered) bool {
	if !d.About(q.Target) {
		return false
	}
	if q.Source.IsValid() && !q.Source.IsUnspecified() {
		return d.Asker == q.Source
	}
	return d.Asker.IsUnspecified() || d.Asker.IsMulticast()
}
