package topo_test

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

// automatic is a declaration, and the routes and notes that it comes to.
type automatic struct {
	name    string
	declare func(n *topo.Network)
	routes  map[string][]string // by node; a node that is not named has none to speak of
	notes   []string
}

func checkAutomatic(t *testing.T, rows []automatic) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			network := topo.New("automatic")
			row.declare(network)
			plan := mustPlan(t, network)
			for name, want := range row.routes {
				same(t, routes(nodeOf(t, plan, name)), want)
			}
			same(t, plan.Notes, row.notes)
		})
	}
}

// chain declares segments s0, s1 and so on with the prefixes, and routers r1, r2
// and so on between them, each the first on its right segment and the second on
// its left one. Hosts are a on the first and z on the last.
func chain(n *topo.Network, prefixes ...string) (segments []*topo.Segment) {
	for i, prefix := range prefixes {
		segments = append(segments, n.Switch("s"+string(rune('0'+i)), prefix))
	}
	for i := 1; i < len(segments); i++ {
		n.Router("r"+string(rune('0'+i)), segments[i], segments[i-1])
	}
	n.Host("a", segments[0])
	n.Host("z", segments[len(segments)-1])
	return segments
}

func TestAutomaticRoutes(t *testing.T) {
	t.Parallel()
	checkAutomatic(t, []automatic{
		{"a host behind one router gets a default route, the router none", func(n *topo.Network) {
			chain(n, "10.0.0.0/24", "10.0.1.0/24")
		}, map[string][]string{"a": {"0.0.0.0/0 via 10.0.0.1 dev s0"}, "z": {"0.0.0.0/0 via 10.0.1.1 dev s1"}, "r1": nil}, nil},
		{"nowhere to go, no route", func(n *topo.Network) {
			chain(n, "10.0.0.0/24")
			n.Router("r", n.Switch("alone", "10.9.0.0/24"))
		}, map[string][]string{"a": nil, "r": nil}, nil},
		{"a router gets a route to each prefix, nearest first", func(n *topo.Network) {
			chain(n, "10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24")
		}, map[string][]string{
			"r1": {"10.0.2.0/24 via 10.0.1.2 dev s1", "10.0.3.0/24 via 10.0.1.2 dev s1"},
			"r2": {"10.0.3.0/24 via 10.0.2.2 dev s2", "10.0.0.0/24 via 10.0.1.1 dev s1"},
			"a":  {"0.0.0.0/0 via 10.0.0.1 dev s0"},
		}, nil},
		{"a host between two routers gets a route to each prefix", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Router("east", lan, n.Switch("e", "10.1.0.0/24"))
			n.Router("west", lan, n.Switch("w", "10.2.0.0/24"))
			n.Host("a", lan)
		}, map[string][]string{"a": {"10.1.0.0/24 via 10.0.0.1 dev lan", "10.2.0.0/24 via 10.0.0.2 dev lan"}}, nil},
		{"of equal ways the router declared first", func(n *topo.Network) {
			lan, far := n.Switch("lan", "10.0.0.0/24"), n.Switch("far", "10.1.0.0/24")
			n.Router("second", lan.At("10.0.0.1"), far)
			n.Router("first", lan, far)
			n.Host("a", lan)
		}, map[string][]string{"a": {"0.0.0.0/0 via 10.0.0.1 dev lan"}}, nil},
		{"the fewest hops", func(n *topo.Network) {
			s := chain(n, "10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24")
			n.Router("short", s[0], s[2])
		}, map[string][]string{"a": {"10.0.1.0/24 via 10.0.0.1 dev s0", "10.0.2.0/24 via 10.0.0.3 dev s0"}}, nil},
	})
}

func TestAutomaticRoutesLeadOnlyWhereTheyCan(t *testing.T) {
	t.Parallel()
	checkAutomatic(t, []automatic{
		{"each family for itself", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24", "fd00::/64")
			n.Router("r4", lan, n.Switch("four", "10.4.0.0/24"))
			n.Router("r6", lan, n.Switch("six", "fd06::/64"))
			n.Host("a", lan)
		}, map[string][]string{"a": {"0.0.0.0/0 via 10.0.0.1 dev lan", "::/0 via fd00::2 dev lan"}}, nil},
		{"from one prefix of a segment to another, over a router on both", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24", "10.1.0.0/24")
			n.Router("r", lan)
			n.Host("a", lan.NoAddress().At("10.0.0.9"))
		}, map[string][]string{"a": {"0.0.0.0/0 via 10.0.0.1 dev lan"}, "r": nil}, nil},
		{"a router with two ports on one segment leads nowhere", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Router("r", lan, lan)
			n.Host("a", lan)
		}, map[string][]string{"a": nil}, nil},
		{"no route for whom did not want any, and others' lead through it", func(n *topo.Network) {
			lan, far := n.Switch("lan", "10.0.0.0/24"), n.Switch("far", "10.1.0.0/24")
			n.Router("r", lan, far)
			n.Host("a", lan).NoRoutes()
			n.Host("b", lan)
		}, map[string][]string{"a": nil, "b": {"0.0.0.0/0 via 10.0.0.1 dev lan"}}, nil},
		{"through a router that was told not to forward", func(n *topo.Network) {
			chain(n, "10.0.0.0/24")
			lan, far := n.Switch("lan", "10.1.0.0/24"), n.Switch("far", "10.2.0.0/24")
			n.Router("r", lan, far).NoForward()
			n.Host("b", lan)
		}, map[string][]string{"b": {"0.0.0.0/0 via 10.1.0.1 dev lan"}}, nil},
		{"never through a host", func(n *topo.Network) {
			lan, far := n.Switch("lan", "10.1.0.0/24"), n.Switch("far", "10.2.0.0/24")
			n.Host("r", lan, far)
			n.Host("b", lan)
		}, map[string][]string{"b": nil}, nil},
	})
}

func TestAutomaticRoutesBesideDeclaredOnes(t *testing.T) {
	t.Parallel()
	behind := func(list ...topo.Route) func(n *topo.Network) {
		return func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Router("r", lan, n.Switch("one", "10.1.0.0/24"), n.Switch("two", "10.2.0.0/24"))
			n.Host("a", lan).Route(list...)
		}
	}
	checkAutomatic(t, []automatic{
		{"a default route of its own leaves one for each prefix", behind(topo.Route{Via: "10.0.0.77"}), map[string][]string{
			"a": {"0.0.0.0/0 via 10.0.0.77 dev lan", "10.1.0.0/24 via 10.0.0.1 dev lan", "10.2.0.0/24 via 10.0.0.1 dev lan"}}, nil},
		{"none to a prefix that is declared", behind(topo.Route{Type: topo.Unreachable}, topo.Route{To: "10.1.0.0/24", Type: topo.Blackhole}), map[string][]string{
			"a": {"unreachable 0.0.0.0/0", "blackhole 10.1.0.0/24", "10.2.0.0/24 via 10.0.0.1 dev lan"}}, nil},
		{"one in another table does not count", behind(topo.Route{Via: "10.0.0.77", Table: 7}), map[string][]string{
			"a": {"0.0.0.0/0 via 10.0.0.77 dev lan table 7", "0.0.0.0/0 via 10.0.0.1 dev lan"}}, nil},
		{"but 254 is main", behind(topo.Route{Via: "10.0.0.77", Table: 254}), map[string][]string{
			"a": {"0.0.0.0/0 via 10.0.0.77 dev lan", "10.1.0.0/24 via 10.0.0.1 dev lan", "10.2.0.0/24 via 10.0.0.1 dev lan"}}, nil},
	})
}

func TestAutomaticRoutesToLoopbacks(t *testing.T) {
	t.Parallel()
	checkAutomatic(t, []automatic{
		{"of a router, a neighbour and a far host", func(n *topo.Network) {
			lan, far := n.Switch("lan", "10.0.0.0/24"), n.Switch("far", "10.1.0.0/24")
			n.Router("r", lan, far).Loopback("192.0.2.1/32", "fd09::1/128")
			n.Host("a", lan)
			n.Host("b", lan).Loopback("192.0.2.2/32")
			n.Host("c", far).Loopback("192.0.3.0/31", "192.0.3.1/31")
		}, map[string][]string{
			"a": {"10.1.0.0/24 via 10.0.0.1 dev lan", "192.0.2.1/32 via 10.0.0.1 dev lan", "192.0.2.2/32 via 10.0.0.3 dev lan", "192.0.3.0/31 via 10.0.0.1 dev lan"},
			"b": {"0.0.0.0/0 via 10.0.0.1 dev lan"},
			"r": {"192.0.2.2/32 via 10.0.0.3 dev lan", "192.0.3.0/31 via 10.1.0.2 dev far"},
			"c": {"0.0.0.0/0 via 10.1.0.1 dev far"},
		}, nil},
		// A default route to a host would swallow what has no route.
		{"a neighbour that is no router is no default gateway", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Host("a", lan)
			n.Host("b", lan).Loopback("192.0.2.2/32")
		}, map[string][]string{"a": {"192.0.2.2/32 via 10.0.0.2 dev lan"}, "b": nil}, nil},
		{"not over a port without an address", func(n *topo.Network) {
			lan, side := n.Switch("lan", "10.0.0.0/24"), n.Switch("side", "10.1.0.0/24")
			n.Router("r", lan, side)
			n.Host("a", lan)
			n.Host("b", lan.NoAddress(), side).Loopback("192.0.2.2/32")
		}, map[string][]string{"a": {"0.0.0.0/0 via 10.0.0.1 dev lan"}, "r": {"192.0.2.2/32 via 10.1.0.2 dev side"}}, nil},
		{"the same address at two nodes is ambiguous, and one's own", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Host("a", lan)
			n.Host("b", lan).Loopback("192.0.2.2/32")
			n.Host("c", lan).Loopback("192.0.2.2/32")
		}, map[string][]string{"a": nil, "b": nil}, []string{
			"node a: no automatic route to 192.0.2.2/32 of node b, 192.0.2.2/32 of node c: they overlap",
			"node b: no automatic route to 192.0.2.2/32 of node c: its own 192.0.2.2/32 of node b overlaps",
			"node c: no automatic route to 192.0.2.2/32 of node b: its own 192.0.2.2/32 of node c overlaps"}},
		{"prefixes within one another at one node are not", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Host("a", lan)
			n.Host("b", lan).Loopback("192.0.2.2/24", "192.0.2.3/32")
		}, map[string][]string{"a": {"192.0.2.0/24 via 10.0.0.2 dev lan", "192.0.2.3/32 via 10.0.0.2 dev lan"}}, nil},
	})
}

// A gateway must be a neighbour for the kernel, not only on the same segment.
func TestAutomaticRoutesNeedAnAddress(t *testing.T) {
	t.Parallel()
	with := func(host, router func(lan *topo.Segment) topo.Attachment) func(n *topo.Network) {
		return func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24", "fd00::/64")
			n.Router("r", router(lan), n.Switch("far", "10.1.0.0/24", "fd01::/64"))
			n.Host("a", host(lan))
		}
	}
	plain := func(lan *topo.Segment) topo.Attachment { return lan }
	checkAutomatic(t, []automatic{
		{"the host has none", with(func(lan *topo.Segment) topo.Attachment { return lan.NoAddress() }, plain),
			map[string][]string{"a": nil}, nil},
		{"the host has one family", with(func(lan *topo.Segment) topo.Attachment { return lan.NoAddress().At("fd00::9") }, plain),
			map[string][]string{"a": {"::/0 via fd00::1 dev lan"}}, nil},
		{"the host's is alone on its subnet", with(func(lan *topo.Segment) topo.Attachment { return lan.NoAddress().Also("10.0.0.9/32", "fd00::9/64") }, plain),
			map[string][]string{"a": {"::/0 via fd00::1 dev lan"}}, nil},
		{"the router has one family", with(plain, func(lan *topo.Segment) topo.Attachment { return lan.NoAddress().At("10.0.0.1") }),
			map[string][]string{"a": {"0.0.0.0/0 via 10.0.0.1 dev lan"}, "r": nil}, nil},
		{"the router's is alone on its subnet", with(plain, func(lan *topo.Segment) topo.Attachment { return lan.NoAddress().Also("10.0.0.1/32") }),
			map[string][]string{"a": nil}, nil},
		{"the router has none on the far side", func(n *topo.Network) {
			lan, mid, far := n.Switch("lan", "10.0.0.0/24"), n.Switch("mid", "10.1.0.0/24"), n.Switch("far", "10.2.0.0/24")
			n.Router("r", lan, mid.NoAddress(), far)
			n.Router("q", mid, n.Switch("beyond", "10.3.0.0/24"))
			n.Host("a", lan).Route(topo.Route{Type: topo.Blackhole})
		}, map[string][]string{"a": {"blackhole 0.0.0.0/0", "10.2.0.0/24 via 10.0.0.1 dev lan"}, "q": nil, "r": nil}, nil},
	})
}
