package truth_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// relay puts a node into the link of a host: what comes in at one port leaves at the
// other, later, by packet sockets. No qdisc is needed for it. It comes before all
// else, since the host's port is called otherwise with it.
func (g *generator) relay(name string, delay time.Duration) {
	n := g.node(name)
	near, far := n.ports[0].segment, n.ports[0].segment+"far"
	if len(n.ports) != 1 || n.router || g.node("br") != nil || !g.open(near) {
		return
	}
	g.segments = append(g.segments, segment{name: far, wire: true, prefixes: g.prefixesOf(near)})
	n.ports[0].segment = far
	g.nodes = append(g.nodes, node{name: "relay", ports: []port{{segment: near}, {segment: far}}})
	g.does("relay", fmt.Sprintf("// relay hands on frames between %s and %s, each after %v", near, far, delay), func(s *scope, node *harness.Node) error {
		return relayFrames(s, node, near, far, delay)
	}).slow = 8 * delay // there and back, and the same for the neighbours of both ends
	for _, router := range g.routers() {
		for _, p := range g.node(router).ports {
			if p.segment == near {
				for _, a := range p.at {
					g.put(part{node: name, source: fmt.Sprintf("%s.Route(topo.Route{Via: %q})", name, a), declare: func(n *topo.Node, _ string) { n.Route(topo.Route{Via: a}) }})
				}
				return
			}
		}
	}
}

// near is the segment before a relay that the one behind it is named after, or itself.
func near(segment string) string { return strings.TrimSuffix(segment, "far") }

// open makes a switch of a wire: a port more may be on it.
func (g *generator) open(name string) bool {
	for i, s := range g.segments {
		if s.name == name {
			g.segments[i].wire = false
			return true
		}
	}
	return false
}

// relayFrames copies frames between two interfaces until the scope ends.
func relayFrames(s *scope, node *harness.Node, a, b string, delay time.Duration) error {
	var fds [2]int
	for i, name := range []string{a, b} {
		link, err := node.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		if err := node.Netlink().SetPromiscOn(link); err != nil {
			return err
		}
		fds[i], err = packetSocket(s, node, link.Attrs().Index)
		if err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range fds {
		running.Go(func() { copyFrames(ctx, &s.hands, fds[i], fds[1-i], delay) })
	}
	s.Cleanup(func() {
		stop()
		running.Wait()
		s.hands.forget()
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	})
	return nil
}

// mostHanded is how many packets a program hands on in one direction, in a lab's whole life:
// where packets went round by it, it would be at work for ever.
const mostHanded = 1 << 14

// offload is how long the header before a frame is that says what is left to do of it:
// struct virtio_net_hdr.
const offload = 10

func packetSocket(s *scope, node *harness.Node, index int) (fd int, err error) {
	err = node.Do(func() error {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// A sender on this machine leaves checksums to a card that is none. With the
		// header that says so a frame can be sent on as it is.
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			return err
		}
		if err := s.hands.watch(fd); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: index}) // every protocol
	})
	return fd, err
}

// copyFrames hands on each frame that came in, after its time.
func copyFrames(ctx context.Context, hands *hands, from, to int, delay time.Duration) {
	type frame struct {
		due  time.Time
		data []byte
	}
	queue := make(chan frame, 1024)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for f := range queue {
			pause(ctx, time.Until(f.due))
			_ = unix.Send(to, f.data, unix.MSG_DONTWAIT) // a full buffer drops, as a link's does
			hands.give(f.due)
		}
	}()
	buf := make([]byte, 1<<16)
	for left := mostHanded; ctx.Err() == nil; {
		n, by, at, ok := hands.take(from, buf)
		switch {
		case !ok:
		case by.Pkttype == unix.PACKET_OUTGOING || left == 0:
			hands.drop()
		default:
			left--
			queue <- frame{at.Add(delay), append([]byte(nil), buf[:n]...)}
		}
	}
	close(queue)
	<-sent
}

// forwarder is a program that hands on IPv4 packets between two ports, as a router
// would, by packet sockets; it knows everybody's MAC.
func (g *generator) forwarder(at, a, b string, delay time.Duration) {
	g.put(part{node: at, source: fmt.Sprintf("// a program at %s forwards IPv4 packets between %s and %s by itself, each after %v", at, a, b, delay), slow: 2 * delay, blind: true,
		do: func(s *scope, lab *harness.Lab, _ string) error {
			macs := map[netip.Addr]net.HardwareAddr{}
			for _, n := range lab.Nodes() {
				links, err := n.Netlink().LinkList()
				if err != nil {
					return err
				}
				for _, l := range links {
					addrs, err := n.Netlink().AddrList(l, netlink.FAMILY_V4)
					if err != nil {
						return err
					}
					for _, addr := range addrs {
						if ip, ok := netip.AddrFromSlice(addr.IP.To4()); ok && n.Name() != at {
							macs[ip] = l.Attrs().HardwareAddr
						}
					}
				}
			}
			return forwardPackets(s, lab.Node(at), a, b, delay, macs)
		}})
}

func forwardPackets(s *scope, node *harness.Node, a, b string, delay time.Duration, macs map[netip.Addr]net.HardwareAddr) error {
	var fds, indexes [2]int
	for i, name := range []string{a, b} {
		link, err := node.Netlink().LinkByName(name)
		if err != nil {
			return err
		}
		indexes[i] = link.Attrs().Index
		if fds[i], err = packetSocket(s, node, indexes[i]); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range fds {
		running.Go(func() { forwardFrom(ctx, &s.hands, fds[i], fds[1-i], indexes[1-i], delay, macs) })
	}
	s.Cleanup(func() {
		stop()
		running.Wait()
		s.hands.forget()
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	})
	return nil
}

func forwardFrom(ctx context.Context, hands *hands, from, to, index int, delay time.Duration, macs map[netip.Addr]net.HardwareAddr) {
	buf := make([]byte, 1<<16)
	for left := mostHanded; ctx.Err() == nil; {
		n, by, at, ok := hands.take(from, buf)
		if !ok {
			continue
		}
		mac, known := net.HardwareAddr(nil), false
		whole := append([]byte(nil), buf[:n]...)
		if by.Pkttype == unix.PACKET_HOST && n >= offload+34 && whole[offload+12] == 8 && whole[offload+13] == 0 {
			mac, known = macs[netip.AddrFrom4([4]byte(whole[offload+30:]))]
		}
		if !known || left == 0 { // no IPv4, its own, or nobody's
			hands.drop()
			continue
		}
		left--
		due := at.Add(delay)
		pause(ctx, time.Until(due))
		copy(whole[offload+6:offload+12], whole[offload:])
		copy(whole[offload:offload+6], mac)
		_ = unix.Sendto(to, whole, unix.MSG_DONTWAIT, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6})
		hands.give(due)
	}
}
