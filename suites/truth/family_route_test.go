package truth_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routings lead packets elsewhere, or nowhere, because somebody wants it so.
var routings = family{"routing", []row{
	{name: "blackhole, unreachable or prohibit route", weight: 3, add: func(g *generator) {
		at := g.anyRouter()
		s := pick(g.r, g.segments...)
		kind := pick(g.r, topo.Blackhole, topo.Unreachable, topo.Prohibit)
		p := netip.MustParsePrefix(pick(g.r, s.prefixes...))
		bits := pick(g.r, 25, 30)
		if p.Addr().Is6() {
			bits = pick(g.r, 65, 126)
		}
		r := topo.Route{To: netip.PrefixFrom(p.Addr(), bits).String(), Type: kind}
		g.put(part{node: at, source: fmt.Sprintf("%s.Route(topo.Route{To: %q, Type: %d})", at, r.To, kind), declare: func(n *topo.Node, _ string) { n.Route(r) }})
	}},
	{name: "no forwarding", weight: 2, add: func(g *generator) {
		if at := g.anyRouter(); g.node(at).router {
			g.put(part{node: at, source: at + ".NoForward()", declare: func(n *topo.Node, _ string) { n.NoForward() }})
		}
	}},
	{name: "no routes at a router", add: func(g *generator) {
		if at := g.anyRouter(); g.node(at).router {
			g.put(part{node: at, source: at + ".NoRoutes()", declare: func(n *topo.Node, _ string) { n.NoRoutes() }})
		}
	}},
	{name: byProtocol + ", to a good route", weight: 2, add: func(g *generator) { g.policyRouting(true) }},
	{name: byProtocol + ", to none", weight: 2, add: func(g *generator) { g.policyRouting(false) }},
	{name: "policy routing rule that ends it", add: func(g *generator) {
		at := g.anyRouter()
		if g.has(at) {
			return
		}
		v6, kind := g.family(), pick(g.r, uint8(unix.RTN_BLACKHOLE), uint8(unix.RTN_PROHIBIT), uint8(unix.RTN_UNREACHABLE))
		proto, port := g.selector()
		g.does(at, fmt.Sprintf("ip %s rule add ipproto %d dport %d pref 90 type %d // at %s", word(v6), proto, port, kind, at), func(_ *scope, node *harness.Node) error {
			rule := newRule(v6)
			rule.IPProto, rule.Dport, rule.Type, rule.Priority = proto, netlink.NewRulePortRange(port, port), kind, 90
			return node.Netlink().RuleAdd(rule)
		})
	}},
	{name: "policy routing by mark", weight: 2, add: func(g *generator) {
		at, v6 := g.anyRouter(), g.family()
		if g.has(at) {
			return
		}
		kind := pick(g.r, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT, unix.RTN_UNREACHABLE)
		g.nft(at, g.table("inet", chain("c", "filter", "prerouting", -150, "accept", g.simple("inet", "prerouting")+" meta mark set 1"), chain("o", "route", "output", -150, "accept", g.simple("inet", "output")+" meta mark set 1")))
		g.does(at, fmt.Sprintf("ip %s rule add fwmark 1 lookup 100; ip route add type %d default table 100 // at %s", word(v6), kind, at), func(_ *scope, node *harness.Node) error {
			rule := newRule(v6)
			rule.Mark, rule.Table, rule.Priority = 1, 100, 91
			if err := node.Netlink().RuleAdd(rule); err != nil {
				return err
			}
			return node.Netlink().RouteAdd(&netlink.Route{Dst: everything(v6), Type: kind, Table: 100, Family: familyOf(v6)})
		})
	}},
	{name: "a table that nothing leads to", add: func(g *generator) {
		at, v6 := g.anyRouter(), g.family()
		if g.has(at) {
			return
		}
		g.does(at, fmt.Sprintf("ip %s route add blackhole default table 777 // at %s", word(v6), at), func(_ *scope, node *harness.Node) error {
			return node.Netlink().RouteAdd(&netlink.Route{Dst: everything(v6), Type: unix.RTN_BLACKHOLE, Table: 777, Family: familyOf(v6)})
		})
	}},
	{name: "several ways, one of them closed", weight: 2, add: func(g *generator) {
		if g.node("other") == nil {
			return
		}
		v6 := g.family()
		to, via := g.addr("site", v6), []string{g.addr("fw", v6), g.addr("other", v6)}
		g.does("pc", fmt.Sprintf("ip route add %s nexthop via %s nexthop via %s; net.ipv4.fib_multipath_hash_policy=1 // at pc", to, via[0], via[1]), func(_ *scope, node *harness.Node) error {
			key := "net.ipv4.fib_multipath_hash_policy"
			if v6 {
				key = "net.ipv6.fib_multipath_hash_policy"
			}
			if err := node.SetSysctl(key, "1"); err != nil {
				return err
			}
			route := &netlink.Route{Dst: host(to)}
			for _, gw := range via {
				route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{Gw: net.ParseIP(gw)})
			}
			return node.Netlink().RouteReplace(route)
		}).remembers = true
		g.nft("other", g.filter("inet", "forward", "accept", "meta l4proto { tcp, udp } counter drop"))
	}},
}}

func (g *generator) selector() (proto int, port uint16) {
	if g.chance(2) {
		return unix.IPPROTO_TCP, 80
	}
	return unix.IPPROTO_UDP, 53
}

// byProtocol begins the names of rows that fill one table: a node has one of them.
const byProtocol = "policy routing by protocol and port"

// policyRouting has a protocol and port take a table of its own: one that has the
// good route while main has a blackhole, or the other way round.
func (g *generator) policyRouting(good bool) {
	v6 := g.family()
	at, to := "", ""
	for _, n := range g.routers() {
		for _, end := range g.ends() {
			for _, p := range g.node(n).ports {
				if near(g.node(end).ports[0].segment) == p.segment && g.addr(end, v6) != "" {
					at, to = n, end
				}
			}
		}
	}
	if at == "" || slices.ContainsFunc(g.parts, func(p part) bool { return p.node == at && strings.HasPrefix(p.feature, byProtocol) }) {
		return
	}
	addr, device := g.addr(to, v6), near(g.node(to).ports[0].segment)
	proto, port := g.selector()
	table, blackhole := 0, 100
	if good {
		table, blackhole = 100, 0
	}
	g.does(at, fmt.Sprintf("ip rule add ipproto %d dport %d lookup 100; ip route add %s dev %s table %d; ip route add blackhole %s table %d // at %s (0 is main)", proto, port, addr, device, table, addr, blackhole, at),
		func(_ *scope, node *harness.Node) error {
			rule := newRule(v6)
			rule.IPProto, rule.Dport, rule.Table, rule.Priority = proto, netlink.NewRulePortRange(port, port), 100, 92
			link, err := node.Netlink().LinkByName(device)
			if err == nil {
				err = node.Netlink().RuleAdd(rule)
			}
			if err == nil && good {
				err = node.Netlink().RouteAdd(&netlink.Route{Dst: host(addr), LinkIndex: link.Attrs().Index, Table: table})
			}
			if err == nil {
				err = node.Netlink().RouteAdd(&netlink.Route{Dst: host(addr), Type: unix.RTN_BLACKHOLE, Table: blackhole})
			}
			return err
		})
}

func newRule(v6 bool) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family = familyOf(v6)
	return rule
}

func familyOf(v6 bool) int {
	if v6 {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

func everything(v6 bool) *net.IPNet {
	text := "0.0.0.0/0"
	if v6 {
		text = "::/0"
	}
	_, all, _ := net.ParseCIDR(text)
	return all
}

// host is the prefix of one address.
func host(addr string) *net.IPNet {
	a := netip.MustParseAddr(addr)
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}
