package topo_test

import (
	"math"
	"testing"

	"github.com/nstest/nstest/topo"
)

// routed declares a node r on two segments, with routes; the neighbours have the
// first addresses.
func routed(list func(lan, dmz *topo.Segment) []topo.Route) func(n *topo.Network) {
	return func(n *topo.Network) {
		lan, dmz := n.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), n.Switch("dmz", "10.0.2.0/24")
		n.Host("a", lan)
		n.Host("b", dmz)
		n.Host("r", lan, dmz).NoRoutes().Route(list(lan, dmz)...)
	}
}

// single is routed with one route that names no segment.
func single(route topo.Route) func(n *topo.Network) {
	return routed(func(_, _ *topo.Segment) []topo.Route { return []topo.Route{route} })
}

// device is routed with one route over lan.
func device(route topo.Route) func(n *topo.Network) {
	return routed(func(lan, _ *topo.Segment) []topo.Route { route.Dev = lan; return []topo.Route{route} })
}

func TestDeclaredRoutes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		list func(lan, dmz *topo.Segment) []topo.Route
		want []string
	}{
		"a gateway finds its segment": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Via: "10.0.2.1"}, {To: "10.8.0.0/16", Via: "10.0.1.1"}, {To: "fd07::/64", Via: "fd00:1::1"}}
		}, []string{"10.7.0.0/16 via 10.0.2.1 dev dmz", "10.8.0.0/16 via 10.0.1.1 dev lan", "fd07::/64 via fd00:1::1 dev lan"}},
		"nobody need have the gateway's address": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Via: "10.0.2.77"}}
		}, []string{"10.7.0.0/16 via 10.0.2.77 dev dmz"}},
		"the default is of the gateway's family, else IPv4": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{Via: "10.0.1.1"}, {To: "default", Via: "fd00:1::1"}, {Dev: dmz, Metric: 9}, {Type: topo.Prohibit, Table: 7}, {To: "::/0", Type: topo.Prohibit, Table: 7}}
		}, []string{"0.0.0.0/0 via 10.0.1.1 dev lan", "::/0 via fd00:1::1 dev lan", "0.0.0.0/0 dev dmz metric 9", "prohibit 0.0.0.0/0 table 7", "prohibit ::/0 table 7"}},
		"a device": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Dev: dmz}, {To: "10.8.0.0/16", Dev: lan, Via: "10.0.1.9"}, {To: "224.0.0.0/4", Dev: lan}}
		}, []string{"10.7.0.0/16 dev dmz", "10.8.0.0/16 via 10.0.1.9 dev lan", "224.0.0.0/4 dev lan"}},
		"types that lead nowhere": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Type: topo.Blackhole}, {To: "10.8.0.0/16", Type: topo.Unreachable}, {To: "fd07::/64", Type: topo.Prohibit}}
		}, []string{"blackhole 10.7.0.0/16", "unreachable 10.8.0.0/16", "prohibit fd07::/64"}},
		"tables and metrics, 254 being main": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Dev: lan, Table: 100, Metric: 7}, {To: "10.7.0.0/16", Dev: lan, Table: 254}, {To: "10.7.0.0/16", Dev: lan, Metric: math.MaxInt32, Table: math.MaxInt32}}
		}, []string{"10.7.0.0/16 dev lan table 100 metric 7", "10.7.0.0/16 dev lan", "10.7.0.0/16 dev lan table 2147483647 metric 2147483647"}},
		"to a subnet of the node's own, in another table or with a metric, or IPv6": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.0.1.0/24", Dev: lan, Table: 100}, {To: "10.0.1.0/24", Type: topo.Blackhole, Metric: 9}, {To: "fd00:1::/64", Type: topo.Blackhole}}
		}, []string{"10.0.1.0/24 dev lan table 100", "blackhole 10.0.1.0/24 metric 9", "blackhole fd00:1::/64"}},
		"a link-local gateway with its device": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "fd07::/64", Via: "fe80::1", Dev: lan}}
		}, []string{"fd07::/64 via fe80::1 dev lan"}},
		"a gateway where a device route leads": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "192.0.2.1/32", Dev: dmz}, {Via: "192.0.2.1"}, {To: "10.7.0.0/16", Via: "192.0.2.1", Dev: dmz, Table: 5}}
		}, []string{"192.0.2.1/32 dev dmz", "0.0.0.0/0 via 192.0.2.1 dev dmz", "10.7.0.0/16 via 192.0.2.1 dev dmz table 5"}},
		"twice over different gateways": {func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Via: "10.0.1.1"}, {To: "10.7.0.0/16", Via: "10.0.1.3"}}
		}, []string{"10.7.0.0/16 via 10.0.1.1 dev lan", "10.7.0.0/16 via 10.0.1.3 dev lan"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := topo.New("routes")
			routed(row.list)(network)
			same(t, routes(nodeOf(t, mustPlan(t, network), "r")), row.want)
		})
	}
}

func TestMistakesInRoutes(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one(`node r: route to "nonsense": write it like 10.1.0.0/16, fd01::/64 or default`, single(topo.Route{To: "nonsense", Via: "10.0.1.1"})),
		one(`node r: route to "10.7.0.1": write it like 10.1.0.0/16, fd01::/64 or default`, single(topo.Route{To: "10.7.0.1", Via: "10.0.1.1"})),
		one("node r: route to ::ffff:10.7.0.0/112: write it like 10.1.0.0/16, fd01::/64 or default", single(topo.Route{To: "::ffff:10.7.0.0/112", Via: "10.0.1.1"})),
		one("node r: route to 10.7.1.2/16: it has bits after its length: write 10.7.0.0/16, or 10.7.1.2/32 for the address alone", single(topo.Route{To: "10.7.1.2/16", Via: "10.0.1.1"})),
		one("node r: route to fd07::1/64: it has bits after its length: write fd07::/64, or fd07::1/128 for the address alone", single(topo.Route{To: "fd07::1/64", Via: "fd00:1::1"})),
	})
}

func TestMistakesInWhereARouteLeads(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one(`node r: route to default: gateway "10.0.1": write it like 10.0.1.1 or fd00:1::1`, single(topo.Route{Via: "10.0.1"})),
		one(`node r: route to default: gateway "fe80::1%lan": write it like 10.0.1.1 or fd00:1::1`, single(topo.Route{Via: "fe80::1%lan"})),
		one("node r: route to default: gateway 0.0.0.0 is no neighbour's address: choose one that is", single(topo.Route{Via: "0.0.0.0"})),
		one("node r: route to default: gateway 224.0.0.1 is no neighbour's address: choose one that is", single(topo.Route{Via: "224.0.0.1"})),
		one("node r: route to default: gateway ::1 is no neighbour's address: choose one that is", single(topo.Route{Via: "::1"})),
		one("node r: route to default: gateway 10.0.9.1 is on none of the node's segments: choose one that is", single(topo.Route{To: "default", Via: "10.0.9.1"})),
		one("node r: route to default: gateway 10.0.2.1 is not on segment lan: choose one that is, or another device", device(topo.Route{Via: "10.0.2.1"})),
		one("node r: route to default: gateway 10.0.1.2 is the node's own address: choose a neighbour's", single(topo.Route{Via: "10.0.1.2"})),
		one("node r: route to default: gateway fd00:1::2 is the node's own address: choose a neighbour's", single(topo.Route{Via: "fd00:1::2"})),
		one("node r: route to default: gateway 10.0.1.255 is the network or broadcast address of 10.0.1.0/24: choose another", single(topo.Route{Via: "10.0.1.255"})),
		one("node r: route to default: gateway 10.0.1.0 is the network or broadcast address of 10.0.1.0/24: choose another", single(topo.Route{Via: "10.0.1.0"})),
		one("node r: route to fd07::/64: gateway 10.0.1.1 is of another family: choose one of the route's", single(topo.Route{To: "fd07::/64", Via: "10.0.1.1"})),
		one("node r: route to default: gateway fe80::1 is link-local, which every segment has: choose one with Dev", single(topo.Route{Via: "fe80::1"})),
		one("node r: route to 10.7.0.0/16: neither gateway nor device: give one", single(topo.Route{To: "10.7.0.0/16"})),
		one("node r: route to 10.7.0.0/16: a blackhole route leads nowhere: leave out gateway and device", single(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1", Type: topo.Blackhole})),
		one("node r: route to 10.7.0.0/16: a prohibit route leads nowhere: leave out gateway and device", device(topo.Route{To: "10.7.0.0/16", Type: topo.Prohibit})),
		one("node r: route to 10.7.0.0/16: type 4: it is Unicast, Blackhole, Unreachable or Prohibit", single(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1", Type: 4})),
		one("node r: route to 10.7.0.0/16: table -1, metric 0: both are between 0 and 4294967295", single(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1", Table: -1})),
		one("node r: route to 10.0.1.0/24: the kernel has one, for the node is on that subnet: give this one a metric or a table", single(topo.Route{To: "10.0.1.0/24", Type: topo.Blackhole})),
		one("node r: route to 10.7.0.0/16: declared twice: take one out", routed(func(lan, _ *topo.Segment) []topo.Route {
			return []topo.Route{{To: "10.7.0.0/16", Via: "10.0.1.1"}, {To: "10.7.0.0/16", Via: "10.0.1.1", Dev: lan, Table: 254}}
		})),
		one("node r: route to 10.7.0.0/16: the node is not on segment far: attach it, or choose another device", func(n *topo.Network) {
			far := n.Switch("far")
			single(topo.Route{To: "10.7.0.0/16", Dev: far})(n)
		}),
		one(`node r: route to 10.7.0.0/16: the node is not on segment "": attach it, or choose another device`, single(topo.Route{To: "10.7.0.0/16", Dev: new(topo.Segment)})),
		{"several in one route", single(topo.Route{To: "x", Via: "y", Dev: new(topo.Segment), Type: -1, Metric: -1}), []string{
			`node r: route to "x": gateway "y": write it like 10.0.1.1 or fd00:1::1`,
			`node r: route to "x": write it like 10.1.0.0/16, fd01::/64 or default`,
			`node r: route to "x": the node is not on segment "": attach it, or choose another device`,
			`node r: route to "x": type -1: it is Unicast, Blackhole, Unreachable or Prohibit`,
			`node r: route to "x": table 0, metric -1: both are between 0 and 4294967295`}},
		{"a mistake in a device route says nothing of the gateway behind it", routed(func(lan, dmz *topo.Segment) []topo.Route {
			return []topo.Route{{To: "192.0.2.1/24", Dev: lan}, {Via: "192.0.2.1"}}
		}), []string{"node r: route to 192.0.2.1/24: it has bits after its length: write 192.0.2.0/24, or 192.0.2.1/32 for the address alone"}},
	})
}

func TestTablesAndMetricsOfThirtyTwoBits(t *testing.T) {
	t.Parallel()
	most := 1<<31 - 1
	if most = most<<1 | 1; most < 0 {
		t.Skip("an int has no more here")
	}
	network := topo.New("most")
	single(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1", Table: most, Metric: most})(network)
	same(t, routes(nodeOf(t, mustPlan(t, network), "r")), []string{"10.7.0.0/16 via 10.0.1.1 dev lan table 4294967295 metric 4294967295"})
	check(t, []mistake{
		one("node r: route to 10.7.0.0/16: table 0, metric 4294967296: both are between 0 and 4294967295", single(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1", Metric: most + 1})),
	})
}
