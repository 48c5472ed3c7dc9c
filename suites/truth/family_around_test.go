package truth_test

import (
	"fmt"
	"net"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// arounds are ways past what is closed: copies that go by another router, addresses that
// no list has, a device that a program may choose.
var arounds = family{"around", []row{
	{name: "dup of some packets by another router", weight: 2, add: func(g *generator) {
		some := pick(g.r, "", "numgen inc mod 2 1", "numgen random mod 2 0", "limit rate 1/second burst 1 packets", "udp length < 20", "udp sport 53")
		if g.round("lan", some) {
			p := &g.parts[len(g.parts)-1]
			p.remembers = some != "" && some[0] != 'u'
			g.asks = append(g.asks, ask{from: "pc", to: "site", kind: pick(g.r, udp, udp, udp, every)}.at())
		}
	}},
	{name: "dup of answers by another router", add: func(g *generator) {
		if g.round("wan", "") {
			g.asks = append(g.asks, ask{from: "pc", to: "site", kind: pick(g.r, udp, icmp)}.at())
		}
	}},
	{name: "there by one router, back by another", weight: 2, add: func(g *generator) {
		if g.node("other") == nil {
			return
		}
		v6 := g.family()
		to, via := g.addr("site", v6), g.addr("other", v6)
		g.does("pc", fmt.Sprintf("ip route add %s via %s // at pc", to, via), func(_ *scope, node *harness.Node) error {
			return node.Netlink().RouteReplace(&netlink.Route{Dst: host(to), Gw: net.ParseIP(via)})
		})
		g.nft(pick(g.r, "fw", "other"), g.filter("inet", "forward", "accept", fmt.Sprintf("iifname %q meta l4proto { icmp, icmpv6, tcp, udp } counter drop", pick(g.r, "lan", "wan"))))
		g.asks = append(g.asks, ask{from: "pc", to: "site", kind: pick(g.r, udp, udp, tcp, icmp)}.at())
	}},
	{name: "an address that no list has", weight: 2, add: func(g *generator) {
		_, to := g.wonder(pick(g.r, udp, every))
		router, v6 := g.nextTo(to), g.family()
		via := g.addr(to, v6)
		if router == "" || via == "" || g.again() {
			return
		}
		prefix, own := "192.0.2.0/24", "192.0.2.50"
		if v6 {
			prefix, own = "2001:db8:5::/64", "2001:db8:5::50"
		}
		g.put(part{node: router, source: fmt.Sprintf("%s.Route(topo.Route{To: %q, Via: %q})", router, prefix, via), declare: func(n *topo.Node, _ string) { n.Route(topo.Route{To: prefix, Via: via}) }})
		text := fmt.Sprintf("ip route add local %s dev lo // at %s", prefix, to)
		listed := g.chance(2)
		if listed {
			text = fmt.Sprintf("ip addr add %s dev lo scope host // at %s", own, to)
		}
		g.does(to, text, func(_ *scope, node *harness.Node) error { return takeOn(node, own, prefix, listed) }).owns = own
		g.closeNearest(to)
	}},
	{name: "a way of a higher metric by another device", weight: 2, add: func(g *generator) {
		for _, n := range g.nodes {
			if n.router || len(n.ports) < 2 || n.name == "br" || g.has(n.name) {
				continue
			}
			g.otherDevice(n)
			return
		}
	}},
}}

// takeOn has a node take an address for its own: as one of the host's, or by a route.
func takeOn(node *harness.Node, own, prefix string, listed bool) error {
	lo, err := node.Netlink().LinkByName("lo")
	if err != nil {
		return err
	}
	if listed {
		return node.Netlink().AddrAdd(lo, &netlink.Addr{IPNet: host(own), Scope: unix.RT_SCOPE_HOST, Flags: unix.IFA_F_NODAD})
	}
	_, all, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	return node.Netlink().RouteAdd(&netlink.Route{Dst: all, LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST})
}

// round has fw drop what comes in at one side, and hand copies of some of it to the other
// router on that side, which lets it through.
func (g *generator) round(side, some string) bool {
	if g.node("other") == nil || g.node("relay") != nil {
		return false
	}
	v6 := g.family()
	port := 0
	if side == "wan" {
		port = 1
	}
	var via string
	for _, a := range g.node("other").ports[port].at {
		if (net.ParseIP(a).To4() == nil) == v6 {
			via = a
		}
	}
	if via == "" {
		return false
	}
	if !strings.HasPrefix(some, "udp ") {
		some = "meta l4proto { udp, icmp, icmpv6 } " + some
	}
	// A copy that goes to a group comes back to who is in it, for ever: ip6_finish_output2 loops
	// it back, and nf_dup_ipv6 takes one from a hop limit of 0.
	one := map[bool]string{false: "ip daddr != 224.0.0.0/4", true: "ip6 daddr != ff00::/8"}[v6]
	g.nft("fw", g.table(word(v6), chain("c", "filter", "prerouting", -300, "accept", fmt.Sprintf("iifname %q %s %s dup to %s device %q", side, one, some, via, side)),
		chain("f", "filter", "forward", 0, "accept", fmt.Sprintf("iifname %q counter drop", side))))
	return true
}

// nextTo is another router on the link of an end.
func (g *generator) nextTo(end string) string {
	if end == "" {
		return ""
	}
	for _, router := range g.routers() {
		if router != end && g.isOn(router, g.node(end).ports[0].segment) {
			return router
		}
	}
	return ""
}

// otherDevice gives a node of two legs a way by its second device that its kernel does
// not choose, and closes the first.
func (g *generator) otherDevice(n node) {
	v6 := g.family()
	first, second := n.ports[0].segment, n.ports[1].segment
	via := ""
	for _, router := range g.routers() {
		for _, p := range g.node(router).ports {
			for _, a := range p.at {
				if p.segment == second && (net.ParseIP(a).To4() == nil) == v6 {
					via = a
				}
			}
		}
	}
	to := "pc"
	if via == "" || g.node(to) == nil || g.addr(to, v6) == "" || n.name == to {
		return
	}
	dst := host(g.addr(to, v6))
	g.does(n.name, fmt.Sprintf("ip route add %s via %s dev %s metric 4000 // at %s", dst, via, second, n.name), func(_ *scope, node *harness.Node) error {
		link, err := node.Netlink().LinkByName(second)
		if err != nil {
			return err
		}
		return node.Netlink().RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(via), LinkIndex: link.Attrs().Index, Priority: 4000})
	}).device = second
	g.nft(n.name, g.filter("inet", "output", "accept", fmt.Sprintf("oifname %q meta l4proto { icmp, tcp, udp } counter drop", first)))
	g.asks = append(g.asks, ask{from: n.name, to: to, kind: pick(g.r, udp, tcp)}.at())
}
