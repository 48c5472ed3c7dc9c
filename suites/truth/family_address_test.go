package truth_test

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addresses are more than one of a node.
var addresses = family{"address", []row{
	{name: "a second address on the link", add: func(g *generator) {
		n := g.node(pick(g.r, g.ends()...))
		p := &n.ports[0]
		if len(p.also) > 0 {
			return // it has one
		}
		for _, prefix := range g.prefixesOf(p.segment) {
			a := netip.MustParsePrefix(prefix)
			addr := plus(a.Addr(), 77)
			for g.taken(p.segment, addr.String()) {
				addr = addr.Next()
			}
			p.also = append(p.also, fmt.Sprintf("%s/%d", addr, a.Bits()))
		}
		g.closeNearest(n.name)
	}},
	{name: "an address on the loopback", add: func(g *generator) {
		n := g.node(pick(g.r, g.ends()...))
		if g.has(n.name) {
			return
		}
		for _, text := range []string{"192.0.2.9/32", "2001:db8::9/128"} {
			if netip.MustParsePrefix(text).Addr().Is6() && g.v6 || netip.MustParsePrefix(text).Addr().Is4() && g.v4 {
				g.loopback(n.name, text)
			}
		}
		g.closeNearest(n.name)
	}},
	{name: "an address that came later", add: func(g *generator) {
		name := pick(g.r, g.ends()...)
		device, v6 := g.port(name), g.family()
		if g.has(name) {
			return
		}
		text := "192.0.2.77/32"
		if v6 {
			text = "2001:db8::77/128"
		}
		_, prefix, _ := net.ParseCIDR(text)
		g.does(name, fmt.Sprintf("ip addr add %s dev %s // at %s", text, device, name), func(_ *scope, node *harness.Node) error {
			link, err := node.Netlink().LinkByName(device)
			if err != nil {
				return err
			}
			return node.Netlink().AddrAdd(link, &netlink.Addr{IPNet: prefix, Flags: unix.IFA_F_NODAD})
		})
		g.closeNearest(name)
	}},
	{name: "only the nearest address closed", add: func(g *generator) {
		for _, n := range g.nodes {
			if !n.router && len(n.ports) > 1 {
				g.closeNearest(n.name)
				return
			}
		}
	}},
}}

func plus(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

func (g *generator) prefixesOf(segment string) []string {
	for _, s := range g.segments {
		if s.name == segment {
			return s.prefixes
		}
	}
	return nil
}

// closeNearest drops what is for a node's first addresses, and nothing else.
func (g *generator) closeNearest(name string) {
	if g.chance(3) {
		return
	}
	var lines []string
	for _, a := range g.node(name).ports[0].at {
		lines = append(lines, fmt.Sprintf("%s daddr %s meta l4proto { icmp, tcp, udp } counter drop", word(netip.MustParseAddr(a).Is6()), a))
		if netip.MustParseAddr(a).Is6() {
			lines = append(lines, "ip6 daddr "+a+" icmpv6 type echo-request counter drop")
		}
	}
	if router := g.anyRouter(); len(lines) > 0 {
		g.nft(router, g.filter("inet", g.hook(router), "accept", lines...))
	}
}
