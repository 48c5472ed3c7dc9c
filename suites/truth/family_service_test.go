package truth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// listeners are services that not everybody reaches, or not at once.
var listeners = family{"listener", []row{
	{name: "on the loopback only", add: func(g *generator) {
		g.listener(func(s *service) { s.on = map[bool]string{false: "127.0.0.1", true: "::1"}[g.family()] })
	}},
	{name: "on one address only", add: func(g *generator) {
		g.listener(func(s *service) { s.on = g.addr(s.node, g.family()) })
	}},
	{name: "slow", weight: 2, add: func(g *generator) {
		g.listener(func(s *service) { s.slow = pick(g.r, 15*time.Millisecond, 60*time.Millisecond) })
	}},
	{name: "nobody listens", add: func(g *generator) {
		if len(g.services) > 0 {
			i := g.r.IntN(len(g.services))
			g.services = slices.Delete(g.services, i, i+1)
		}
	}},
}}

// bound says whether a service of a node is on an address of its devices: it could not
// begin where that is gone.
func (g *generator) bound(name string) bool {
	return slices.ContainsFunc(g.services, func(s service) bool {
		addr, err := netip.ParseAddr(s.on)
		return s.node == name && err == nil && !addr.IsLoopback()
	})
}

// listener changes a service into a plain one of another kind.
func (g *generator) listener(change func(*service)) {
	if len(g.services) == 0 {
		return
	}
	i := g.r.IntN(len(g.services))
	s := g.services[i]
	s.signed, s.feature = false, g.naming
	change(&s)
	g.services = append(slices.Delete(g.services, i, i+1), s)
}

func (g *generator) loopback(name, prefix string) {
	g.put(part{node: name, source: fmt.Sprintf("%s.Loopback(%q)", name, prefix), declare: func(n *topo.Node, _ string) { n.Loopback(prefix) }})
}

// programs forward what they are sent, as plain programs do.
var programs = family{"program", []row{
	{name: forPort, weight: 2, add: func(g *generator) {
		at, to := g.anyRouter(), pick(g.r, g.ends()...)
		v6 := g.family()
		addr := g.addr(to, v6)
		if at == to || !g.addressed(at) || g.proxied() || g.owns(at, addr) {
			return
		}
		g.services = slices.DeleteFunc(g.services, func(s service) bool { return s.node == at && s.network == tcp && s.port == 80 })
		g.does(at, fmt.Sprintf("// a program at %s hands what comes to its TCP port 80 on to [%s]:80", at, addr), func(s *scope, node *harness.Node) error {
			return proxy(s, node, 80, netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
		})
		g.asks = append(g.asks, ask{from: pick(g.r, g.ends()...), to: at, kind: tcp, port: 80})
		if g.asks[len(g.asks)-1].from == at {
			g.asks = g.asks[:len(g.asks)-1]
		}
	}},
	{name: transparent, weight: 2, add: func(g *generator) {
		at, to := g.anyRouter(), pick(g.r, g.ends()...)
		v6 := g.family()
		addr := g.addr(to, v6)
		if at == to || !g.node(at).router || g.proxied() || g.proxiedAt(at) || g.owns(at, addr) {
			return
		}
		g.nft(at, g.table(word(v6), chain("in", "nat", "prerouting", -100, "accept", "tcp dport 80 counter redirect to :3128")))
		g.does(at, fmt.Sprintf("// a program at %s hands what comes to its TCP port 3128 on to [%s]:80", at, addr), func(s *scope, node *harness.Node) error {
			return proxy(s, node, 3128, netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
		})
	}},
	{name: "program that forwards where the kernel does not", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		n := g.node(at)
		if !n.router || len(n.ports) != 2 || !g.v4 {
			return
		}
		delay := pick(g.r, time.Millisecond, 8*time.Millisecond, 30*time.Millisecond)
		g.put(part{node: at, source: at + ".NoForward()", declare: func(n *topo.Node, _ string) { n.NoForward() }})
		g.forwarder(at, n.ports[0].segment, n.ports[1].segment, delay)
	}},
}}

const (
	forPort     = "proxy for a port"
	transparent = "transparent proxy"
)

// proxied says whether a proxy is there: of two, each may hand on to the other, for ever.
func (g *generator) proxied() bool {
	return slices.ContainsFunc(g.parts, func(p part) bool { return p.feature == forPort || p.feature == transparent })
}

// proxiedAt says whether somebody at a node has the proxies' port.
func (g *generator) proxiedAt(node string) bool {
	return slices.ContainsFunc(g.services, func(s service) bool { return s.node == node && s.port == 3128 }) ||
		slices.ContainsFunc(g.parts, func(p part) bool { return p.feature == transparent && p.node == node })
}

// owns says whether an address is one of a node's, though it may be another's as well.
func (g *generator) owns(name, addr string) bool {
	return slices.ContainsFunc(g.node(name).ports, func(p port) bool { return slices.Contains(p.at, addr) })
}

// mostProxied is how many connections a proxy hands on at once. Rules may lead what it
// sends back to it, for ever.
const mostProxied = 32

// proxy accepts at a port, and copies both ways to another.
func proxy(s *scope, node *harness.Node, port uint16, to netip.AddrPort) error {
	ctx, stop := context.WithCancel(context.Background())
	listener, err := node.Listen(ctx, tcp, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		stop()
		return err
	}
	s.Cleanup(func() { stop(); _ = listener.Close() })
	go func() {
		room := make(chan struct{}, mostProxied)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			select {
			case room <- struct{}{}:
				go func() {
					defer func() { <-room }()
					handOn(ctx, node, conn, to)
				}()
			default:
				_ = conn.Close()
			}
		}
	}()
	return nil
}

// handOn connects when the first byte has come: it is a proxy, and no relay.
func handOn(ctx context.Context, node *harness.Node, conn net.Conn, to netip.AddrPort) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	in := bufio.NewReader(conn)
	if _, err := in.Peek(1); err != nil {
		return
	}
	dialing, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	out, err := node.Dial(dialing, tcp, to)
	if err != nil {
		return
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(conn, out)
}
