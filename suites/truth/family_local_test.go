package truth_test

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// locals are addresses that count on one link, or in one node alone.
var locals = family{"local", []row{
	{name: "all but the addresses of the link closed", weight: 2, add: func(g *generator) {
		from, to := g.linked()
		if to == "" {
			return
		}
		var lines []string
		for _, p := range g.node(to).ports {
			for _, a := range p.at {
				echo := map[bool]string{false: "icmp type echo-request", true: "icmpv6 type echo-request"}[netip.MustParseAddr(a).Is6()]
				daddr := word(netip.MustParseAddr(a).Is6()) + " daddr " + a + " "
				lines = append(lines, daddr+"meta l4proto { tcp, udp } counter drop", daddr+echo+" counter drop")
			}
		}
		if g.chance(3) {
			lines = append(lines, "ip6 daddr fe80::/10 "+pick(g.r, "meta l4proto { tcp, udp }", "udp dport 53", "icmpv6 type echo-request")+" counter drop")
		}
		g.nft(to, g.filter("inet", pick(g.r, "input", "prerouting"), "accept", lines...))
		g.asks = append(g.asks, ask{from: from, to: to, kind: pick(g.r, udp, udp, tcp, icmp, every)}.at())
	}},
	{name: "on an address of the link only", add: func(g *generator) {
		if g.v6 && g.node("relay") == nil {
			g.listener(func(s *service) { s.on = ofLink })
		}
	}},
	{name: "a source that is only a route's", weight: 2, add: func(g *generator) {
		from, to := g.wonder(pick(g.r, udp, udp, icmp, tcp))
		if from == "" || g.again() {
			return
		}
		v6 := g.family()
		via := g.addr(from, v6)
		if via == "" {
			return
		}
		prefix, own := "198.51.100.0/24", "198.51.100.7"
		if v6 {
			prefix, own = "2001:db8:7::/64", "2001:db8:7::7"
		}
		for _, n := range g.nodes { // who is beside it knows the way; others ask their gateway
			if n.name != from && g.isOn(n.name, g.node(from).ports[0].segment) && g.addressed(n.name) {
				g.put(part{node: n.name, source: fmt.Sprintf("%s.Route(topo.Route{To: %q, Via: %q})", n.name, prefix, via), declare: func(n *topo.Node, _ string) { n.Route(topo.Route{To: prefix, Via: via}) }})
			}
		}
		g.does(from, fmt.Sprintf("ip route add local %s dev lo // at %s", prefix, from), func(_ *scope, node *harness.Node) error { return takeOn(node, own, prefix, false) }).owns = own
		g.nft(to, g.filter("inet", "input", "accept", fmt.Sprintf("%s saddr != %s meta l4proto { icmp, tcp, udp } counter drop", word(v6), prefix), fmt.Sprintf("%s saddr != %s icmpv6 type echo-request counter drop", word(v6), prefix)))
	}},
}}

// ofLink is what a service is on that is to be on its node's addresses of the link.
const ofLink = "fe80::/10"

// linked are two nodes on one link; "" where there are none.
func (g *generator) linked() (from, to string) {
	if !g.v6 || g.node("relay") != nil || g.node("br") != nil {
		return "", ""
	}
	to = pick(g.r, g.ends()...)
	for _, n := range g.nodes {
		if n.name != to && g.addressed(n.name) && g.isOn(n.name, g.node(to).ports[0].segment) && (from == "" || g.chance(2)) {
			from = n.name
		}
	}
	if from == "" {
		return "", ""
	}
	return from, to
}

// linkAddresses are a node's addresses of a link, by its device.
func linkAddresses(node *harness.Node) map[string][]netip.Addr {
	all := map[string][]netip.Addr{}
	links, err := node.Netlink().LinkList()
	if err != nil {
		return nil
	}
	for _, l := range links {
		addrs, err := node.Netlink().AddrList(l, netlink.FAMILY_V6)
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if addr, ok := netip.AddrFromSlice(a.IP); ok && addr.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				// By its number: package net keeps names of other namespaces.
				all[l.Attrs().Name] = append(all[l.Attrs().Name], addr.WithZone(strconv.Itoa(l.Attrs().Index)))
			}
		}
	}
	return all
}

// across are the target's addresses of the links that the asker is on too, as the asker
// calls them.
func across(from, to *harness.Node) (addrs []netip.Addr) {
	theirs := linkAddresses(to)
	for device, own := range linkAddresses(from) {
		for _, addr := range theirs[device] {
			addrs = append(addrs, addr.WithZone(own[0].Zone()))
		}
	}
	return addrs
}
