package topo_test

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

// between declares a node r between two segments of one prefix, with a route to
// a gateway, and a neighbour for each chosen port.
func between(route topo.Route, on string, choose ...func(a, b *topo.Segment) topo.Attachment) func(n *topo.Network) {
	return func(n *topo.Network) {
		a, b := n.Switch("site-a", "10.0.0.0/24", "fd00::/64"), n.Switch("site-b", "10.0.0.0/24", "fd00::/64")
		for i, port := range choose {
			n.Host(string(rune('a'+i)), port(a, b))
		}
		route.Dev = map[string]*topo.Segment{"site-a": a, "site-b": b}[on]
		n.Host("r", a.At("10.0.0.9"), b.At("10.0.0.8")).NoRoutes().Route(route)
	}
}

// onA and onB choose a port with that address on one of the two.
func onA(addr string) func(a, b *topo.Segment) topo.Attachment {
	return func(a, _ *topo.Segment) topo.Attachment { return a.At(addr) }
}

func onB(addr string) func(a, b *topo.Segment) topo.Attachment {
	return func(_, b *topo.Segment) topo.Attachment { return b.At(addr) }
}

func TestGatewayWhereTheNodesSegmentsOverlap(t *testing.T) {
	t.Parallel()
	via := func(addr string) topo.Route { return topo.Route{Via: addr} }
	for want, declare := range map[string]func(n *topo.Network){
		"0.0.0.0/0 via 10.0.0.2 dev site-a":  between(via("10.0.0.2"), "", onA("10.0.0.2")),
		"0.0.0.0/0 via 10.0.0.3 dev site-b":  between(via("10.0.0.3"), "", onB("10.0.0.3")),
		"0.0.0.0/0 via 10.0.0.4 dev site-b":  between(via("10.0.0.4"), "site-b", onA("10.0.0.4"), onB("10.0.0.4")),
		"0.0.0.0/0 via 10.0.0.77 dev site-b": between(via("10.0.0.77"), "site-b"),
		// The node's own address on site-a is a neighbour's on site-b.
		"0.0.0.0/0 via 10.0.0.9 dev site-b": between(via("10.0.0.9"), "", onB("10.0.0.9")),
		// One that nobody chose counts as well.
		"0.0.0.0/0 via 10.0.0.1 dev site-b": between(via("10.0.0.1"), "", func(_, b *topo.Segment) topo.Attachment { return b }),
		"::/0 via fd00::7 dev site-a":       between(via("fd00::7"), "", onA("fd00::7")),
	} {
		network := topo.New("sites")
		declare(network)
		same(t, routes(nodeOf(t, mustPlan(t, network), "r")), []string{want})
	}
	check(t, []mistake{
		one("node r: route to default: gateway 10.0.0.2 is on segment site-a and on segment site-b: choose one with Dev",
			between(via("10.0.0.2"), "", onA("10.0.0.2"), onB("10.0.0.2"))),
		one("node r: route to default: gateway 10.0.0.77 is on segment site-a and on segment site-b: choose one with Dev",
			between(via("10.0.0.77"), "")),
		one("node r: route to default: gateway 10.0.0.9 is the node's own address: choose a neighbour's",
			between(via("10.0.0.9"), "")),
		one("node r: route to default: gateway fd00::1 is the node's own address: choose a neighbour's",
			between(via("fd00::1"), "", onB("fd00::1"))),
		{"who was to have it is not known after a mistake", between(via("10.0.0.2"), "", onB("10.0.0.2.")),
			[]string{`node a: segment site-b: address "10.0.0.2.": write it like 10.0.1.9 or fd00:1::9`}},
	})
}

func TestGatewayOnTwoPortsOfOneSegment(t *testing.T) {
	t.Parallel()
	network := topo.New("bond")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("a", lan)
	network.Host("b", lan, lan).Route(topo.Route{Via: "10.0.1.1"})
	same(t, routes(nodeOf(t, mustPlan(t, network), "b")), []string{"0.0.0.0/0 via 10.0.1.1 dev lan"})
}

func TestGatewayOfANodeThatChoseItsAddresses(t *testing.T) {
	t.Parallel()
	network := topo.New("chosen")
	lan := network.Switch("lan", "10.0.1.0/24", "10.0.2.0/24", "169.254.0.0/16")
	network.Host("a", lan.Also("192.0.2.5/24")).Route(
		topo.Route{To: "10.7.0.0/16", Via: "192.0.2.1"}, topo.Route{To: "10.8.0.0/16", Via: "169.254.0.9"})
	network.Host("b", lan.NoAddress().At("10.0.1.9")).Route(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1"})
	plan := mustPlan(t, network)
	same(t, routes(nodeOf(t, plan, "a")), []string{"10.7.0.0/16 via 192.0.2.1 dev lan", "10.8.0.0/16 via 169.254.0.9 dev lan"})
	same(t, routes(nodeOf(t, plan, "b")), []string{"10.7.0.0/16 via 10.0.1.1 dev lan"})
	check(t, []mistake{
		one("node b: route to default: gateway 10.0.1.1 is on none of the node's segments: choose one that is", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.0/24")
			n.Host("a", lan)
			n.Host("b", lan.NoAddress()).Route(topo.Route{Via: "10.0.1.1"})
		}),
		one("node b: route to default: gateway 192.0.2.1 is the node's own address: choose a neighbour's", func(n *topo.Network) {
			n.Host("b", n.Switch("lan", "10.0.1.0/24")).Loopback("192.0.2.1/32").Route(topo.Route{Via: "192.0.2.1"})
		}),
	})
}

// What a mistake leaves unknown is not reported as a second one.
func TestGatewayAfterAnotherMistake(t *testing.T) {
	t.Parallel()
	route := topo.Route{Via: "10.0.1.1"}
	check(t, []mistake{
		one(`segment lan: prefix "10.0.1.0": write it like 10.0.1.0/24 or fd00:1::/64`, func(n *topo.Network) {
			n.Host("a", n.Switch("lan", "10.0.1.0")).Route(route)
		}),
		one("node a: attached to segment lan of network other: declare it in this network", func(n *topo.Network) {
			n.Host("a", topo.New("other").Switch("lan", "10.0.1.0/24")).Route(route)
		}),
		one(`node a: segment lan: address "10.0.1.9": write it with its prefix length, like 192.0.2.1/32`, func(n *topo.Network) {
			n.Host("a", n.Switch("lan").Also("10.0.1.9")).Route(route)
		}),
		one(`node a: segment lan: address "10.0.1.9/24": write it like 10.0.1.9 or fd00:1::9`, func(n *topo.Network) {
			n.Host("a", n.Switch("lan", "10.0.1.0/24").NoAddress().At("10.0.1.9/24")).Route(route)
		}),
		{"what is known still counts", func(n *topo.Network) {
			n.Host("a", n.Switch("lan", "10.0.1.0/24").At("10.0.9.9")).Route(topo.Route{Via: "10.0.9.1"})
		}, []string{
			"node a: segment lan: address 10.0.9.9 is in none of the segment's prefixes: choose one that is, or use Also",
			"node a: route to default: gateway 10.0.9.1 is on none of the node's segments: choose one that is"}},
	})
}
