package topo_test

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestRulesReadLikeIP(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "10.0.2.0/24")
	network.Router("r", lan, wan).Rule(
		topo.Rule{From: "10.0.1.0/24", Table: 100},
		topo.Rule{Priority: 500, From: "fd00:1::5", To: "fd00:2::/64", Table: 254, SuppressPrefixLength: new(0)},
		topo.Rule{In: lan, Not: true, Mark: 0x1, Type: topo.Prohibit},
		topo.Rule{From: "10.0.1.9", Out: wan, Protocol: "tcp", Port: "80", SourcePort: "1024-65535", UID: "1000", Mark: 2, Mask: 6, TOS: 0x10, Table: 200},
		topo.Rule{Protocol: "ipv6-icmp", Type: topo.Blackhole},
	)
	plan := mustPlan(t, network)
	var got []string
	for _, rule := range nodeOf(t, plan, "r").Rules {
		family := "4 "
		if rule.IPv6 {
			family = "6 "
		}
		got = append(got, family+rule.String())
	}
	same(t, got, []string{
		"4 10000: from 10.0.1.0/24 lookup 100",
		"6 500: from fd00:1::5 to fd00:2::/64 lookup main suppress_prefixlength 0",
		"4 10001: not from all fwmark 0x1 iif lan prohibit",
		"6 10001: not from all fwmark 0x1 iif lan prohibit",
		"4 10002: from 10.0.1.9 tos 0x10 fwmark 0x2/0x6 oif wan uidrange 1000-1000 ipproto tcp sport 1024-65535 dport 80 lookup 200",
		"6 10003: from all ipproto ipv6-icmp blackhole",
	})
}

func TestMistakesInRules(t *testing.T) {
	t.Parallel()
	with := func(rules ...topo.Rule) func(*topo.Network) {
		return func(n *topo.Network) { n.Router("r", n.Switch("lan", "10.0.1.0/24")).Rule(rules...) }
	}
	check(t, []mistake{
		one("node r: rule 1: neither a table nor a type: say what is to be done", with(topo.Rule{From: "10.0.1.1"})),
		one("node r: rule 1: a blackhole rule looks nothing up: leave out table and suppressed prefix length", with(topo.Rule{Type: topo.Blackhole, Table: 1})),
		one("node r: rule 1: type 9: it is Unicast, Blackhole, Unreachable or Prohibit", with(topo.Rule{Type: 9})),
		one("node r: rule 1: table -1: it is between 1 and 4294967295", with(topo.Rule{Table: -1})),
		one("node r: rule 1: suppressed prefix length 129: it is between 0 and 128", with(topo.Rule{Table: 254, SuppressPrefixLength: new(129)})),
		one("node r: rule 2: priority 32766: it is between 1 and 32765", with(topo.Rule{Table: 1}, topo.Rule{Table: 2, Priority: 32766})),
		one(`node r: rule 1: "x": write an address or a prefix, like 10.1.0.0/16`, with(topo.Rule{From: "x", Table: 1})),
		one("node r: rule 1: 10.0.1.1/24 has bits after its length: write 10.0.1.0/24, or the address alone", with(topo.Rule{To: "10.0.1.1/24", Table: 1})),
		one("node r: rule 1: from 10.0.1.1, to fd00::/64: choose two of one family", with(topo.Rule{From: "10.0.1.1", To: "fd00::/64", Table: 1})),
		one("node r: rule 1: tos 0x3: it is between 0 and 0x1e, and even", with(topo.Rule{TOS: 3, Table: 1})),
		one("node r: rule 1: mark 0x3 has bits that the mask 0x1 leaves out: no packet has them", with(topo.Rule{Mark: 3, Mask: 1, Table: 1})),
		one(`node r: rule 1: users "root": write them like 1000 or 1000-2000`, with(topo.Rule{UID: "root", Table: 1})),
		one(`node r: rule 1: protocol "http": write tcp, udp, icmp, ipv6-icmp, or a number from 1 to 255`, with(topo.Rule{Protocol: "http", Table: 1})),
		one("node r: rule 1: ports 80 without a protocol that has them: say tcp or udp", with(topo.Rule{Port: "80", Table: 1})),
		one("node r: rule 1: ports 80 without a protocol that has them: say tcp or udp", with(topo.Rule{Port: "80", Protocol: "icmp", Table: 1})),
		one(`node r: rule 1: ports "90-80": write them like 80 or 8000-8100`, with(topo.Rule{Port: "90-80", Protocol: "udp", Table: 1})),
		one("node r: rule 10000: from all lookup 7: declared twice: take one out", with(topo.Rule{Priority: 10000, Table: 7}, topo.Rule{Table: 7})),
		one("node r: rule 1: the node is not on segment far: attach it, or choose another device", func(n *topo.Network) {
			far := n.Switch("far")
			n.Router("r", n.Switch("lan")).Rule(topo.Rule{In: far, Table: 1})
		}),
	})
}

func TestMultipathAndSourcesOfRoutes(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.2.0/24")
	network.Router("r", lan, wan).Loopback("192.0.2.1/32").Route(
		topo.Route{To: "10.9.0.0/16", Hops: []topo.Hop{{Via: "10.0.1.7"}, {Via: "10.0.2.7", Weight: 3}}},
		topo.Route{To: "10.8.0.0/16", Via: "10.0.1.7", Source: "192.0.2.1", MTU: 1400, LockMTU: true})
	plan := mustPlan(t, network)
	got := nodeOf(t, plan, "r").Routes[:2]
	if hops := got[0].Hops; len(hops) != 2 || hops[0] != (topo.HopPlan{Via: addr("10.0.1.7"), Dev: "lan", Weight: 1}) || hops[1] != (topo.HopPlan{Via: addr("10.0.2.7"), Dev: "wan", Weight: 3}) {
		t.Errorf("hops %+v", hops)
	}
	if got[1].Source != addr("192.0.2.1") || got[1].MTU != 1400 || !got[1].LockMTU {
		t.Errorf("%+v", got[1])
	}
}

func TestMistakesInMultipathRoutes(t *testing.T) {
	t.Parallel()
	two := []topo.Hop{{Via: "10.0.1.3"}, {Via: "10.0.2.4"}}
	check(t, []mistake{
		one("node r: route to 10.7.0.0/16: a multipath route has two hops or more, this one has 1: use Via", single(topo.Route{To: "10.7.0.0/16", Hops: two[:1]})),
		one("node r: route to 10.7.0.0/16: it has hops, and a gateway or device besides: leave these out", device(topo.Route{To: "10.7.0.0/16", Hops: two})),
		one("node r: route to 10.7.0.0/16: hop 2 has no gateway: give one", single(topo.Route{To: "10.7.0.0/16", Hops: []topo.Hop{two[0], {}}})),
		one("node r: route to 10.7.0.0/16: weight 300: it is between 1 and 256", single(topo.Route{To: "10.7.0.0/16", Hops: []topo.Hop{two[0], {Via: "10.0.2.4", Weight: 300}}})),
		one("node r: route to 10.7.0.0/16: gateway fd00:1::9 is of another family: choose one of the route's", single(topo.Route{To: "10.7.0.0/16", Hops: []topo.Hop{two[0], {Via: "fd00:1::9"}}})),
		one("node r: route to 10.7.0.0/16: a blackhole route leads nowhere: leave out gateway and device", single(topo.Route{To: "10.7.0.0/16", Type: topo.Blackhole, Hops: two})),
		one("node r: route to 10.7.0.0/16: source 10.9.9.9 is no address of the node: choose one of its own", device(topo.Route{To: "10.7.0.0/16", Source: "10.9.9.9"})),
		one(`node r: route to 10.7.0.0/16: source "x": write it like 10.0.1.1 or fd00:1::1`, device(topo.Route{To: "10.7.0.0/16", Source: "x"})),
		one("node r: route to 10.7.0.0/16: MTU 20: it must be between 68 and 65535", device(topo.Route{To: "10.7.0.0/16", MTU: 20})),
		one("node r: route to 10.7.0.0/16: the MTU is locked, and there is none: give it", device(topo.Route{To: "10.7.0.0/16", LockMTU: true})),
	})
}
