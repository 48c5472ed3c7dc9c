package topo_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestValidateReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24", "10.0.1.0/33")
	dmz := network.Switch("dmz", "10.0.2.0/24")
	network.Wire("wire")
	network.Host("bob", lan)
	network.Host("bob", lan.MAC("nonsense"), nil)
	network.Host("carol", dmz.At("10.0.9.9")).Route(topo.Route{Via: "10.0.9.1"}).Sysctl("kernel.hostname", "x")
	want := `network office has 8 mistakes:
  node bob: declared twice: give each a name of its own
  segment lan: prefix "10.0.1.0/33": write it like 10.0.1.0/24 or fd00:1::/64
  node bob: segment lan: MAC "nonsense": write it like 02:00:00:00:00:01
  node bob: attached to no segment: declare it in this network
  node carol: sysctl "kernel.hostname": only those of net. belong to a node: choose one
  segment wire: a wire has two ports, this one has 0: attach two nodes, or declare a switch
  node carol: segment dmz: address 10.0.9.9 is in none of the segment's prefixes: choose one that is, or use Also
  node carol: route to default: gateway 10.0.9.1 is on none of the node's segments: choose one that is`
	err := network.Validate()
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	var mistakes *topo.Mistakes
	if !errors.As(err, &mistakes) || mistakes.Network != "office" || len(mistakes.List) != 8 {
		t.Errorf("%#v", err)
	}
	if !errors.Is(err, mistakes.List[3]) {
		t.Error("errors.Is does not look at each")
	}
	if plan, again := network.Plan(); plan != nil || again == nil || again.Error() != want {
		t.Errorf("Plan: %v, %v", plan, again)
	}
	if network.String() != want {
		t.Errorf("String: %s", network)
	}
}

// A mistake hides no other where what is meant is known.
func TestMistakesBesideOthers(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		{"a prefix with bits after its length", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.5/24", "10.0.1.0/25")
			n.Host("a", lan.At("10.0.9.9").Also("192.0.2.5/32"))
			n.Host("b", n.Switch("dmz", "10.0.2.5/24").At("10.0.9.9")).Route(topo.Route{Via: "10.0.9.1"})
		}, []string{
			"segment lan: prefix 10.0.1.5/24 has bits after its length: write 10.0.1.0/24, and choose a port's address with At",
			"segment lan: prefix 10.0.1.0/25 overlaps 10.0.1.0/24 of the same segment: take one out",
			"segment dmz: prefix 10.0.2.5/24 has bits after its length: write 10.0.2.0/24, and choose a port's address with At",
			"node b: segment dmz: address 10.0.9.9 is in none of the segment's prefixes: choose one that is, or use Also",
			"node b: route to default: gateway 10.0.9.1 is on none of the node's segments: choose one that is"}},
		{"addresses that are right leave no doubt", func(n *topo.Network) {
			n.Host("a", n.Switch("lan", "10.0.1.0/24").NoAddress().At("10.0.1.9").Also("192.0.2.5/24")).Route(topo.Route{Via: "10.0.9.1"})
		}, []string{"node a: route to default: gateway 10.0.9.1 is on none of the node's segments: choose one that is"}},
	})
}

// A mistake does not make others that are none.
func TestOneMistakeIsOneMessage(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one(`segment lan: prefix "fd00::": write it like 10.0.1.0/24 or fd00:1::/64`, func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.0/24", "fd00::")
			n.Host("a", lan.At("fd00::9"))
			n.Host("b", lan.MTU(576))
			n.Router("r", lan).Route(topo.Route{To: "fd01::/64", Via: "fd00::9"})
		}),
		one("segment lan: prefix 10.0.0.0/16 overlaps 10.0.1.0/24 of the same segment: take one out", func(n *topo.Network) {
			n.Host("a", n.Switch("lan", "10.0.1.0/24", "10.0.0.0/16").At("10.0.9.9"))
		}),
		one("node b: segment lan: address 10.0.1.1 is node a's already: choose another, or say that it is meant with Duplicate", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.0/30")
			n.Host("a", lan.At("10.0.1.1"))
			n.Host("b", lan.At("10.0.1.1"))
			n.Host("c", lan) // the prefix is not full: two are meant to share
		}),
		one("node a: attached to no segment: declare it in this network", func(n *topo.Network) {
			n.Host("a", nil).Sysctl("net.ipv4.conf.lan.rp_filter", "1")
		}),
		one("segment lan: MTU 600: with IPv6 it must be between 1280 and 65535", func(n *topo.Network) {
			lan := n.Switch("lan", "fd00::/64").MTU(600)
			n.Host("a", lan)
			n.Host("b", lan)
		}),
		one("segment lan: declared twice: give each a name of its own", func(n *topo.Network) {
			n.Host("a", n.Switch("lan", "10.0.1.0/24").At("10.0.1.9"), n.Switch("lan", "10.0.2.0/24").At("10.0.2.9")).
				Route(topo.Route{Via: "10.0.2.1"})
		}),
	})
}

// Whatever is nil or zero is reported, if it matters, and never panics.
func TestDeclaringNeverPanics(t *testing.T) {
	t.Parallel()
	var segment *topo.Segment
	var port *topo.Port
	none := "node a: attached to no segment: declare it in this network"
	for name, at := range map[string]topo.Attachment{
		"nil": nil, "a nil segment": segment, "a nil port": port, "a zero port": topo.Port{}, "a pointer to a zero port": new(topo.Port),
		"a nil segment's port": segment.At("10.0.1.9").MAC("x").MTU(1).Also("y").Duplicate().NoAddress(),
		"more of that":         segment.MAC("x"), "and that": segment.Also("x"), "and this": segment.NoAddress(), "and its MTU": segment.MTU(9),
	} {
		t.Run(name, func(t *testing.T) {
			check(t, []mistake{one(none, func(n *topo.Network) { n.Host("a", at) })})
		})
	}
	if segment.Name() != "" {
		t.Error("a nil segment has a name")
	}
	var network *topo.Network
	network.Host("a", network.Wire("w", "10.0.1.0/24"), network.Switch("s")).Route(topo.Route{Via: "10.0.1.1"})
	network.Router("r")
	if got, want := network.String(), "network: there is none: declare one with New"; got != want || network.Name() != "" {
		t.Errorf("%q, not %q", got, want)
	}
	if err := new(topo.Network).Validate(); err == nil {
		t.Error("the zero network is valid")
	}
	check(t, []mistake{one("node a: attached to segment w of no network: declare it in this network", func(n *topo.Network) {
		n.Host("a", network.Wire("w"))
	})})
}

func TestDeclarationKeepsNoSliceOfItsCaller(t *testing.T) {
	t.Parallel()
	prefixes := []string{"10.0.1.0/24"}
	addrs := []string{"10.0.1.9"}
	also := []string{"192.0.2.5/32"}
	list := []topo.Route{{To: "10.7.0.0/16", Via: "10.0.1.1"}, {To: "10.8.0.0/16", Hops: []topo.Hop{{Via: "10.0.1.1"}, {Via: "10.0.1.2"}}}}
	rules := []topo.Rule{{Table: 254, SuppressPrefixLength: new(0)}}
	network := topo.New("office")
	lan := network.Switch("lan", prefixes...)
	network.Host("a", lan.At(addrs...).Also(also...)).Route(list...).Rule(rules...).Sysctl("net.ipv4.ip_forward", "0").Nft("n").Iptables("i").Ip6tables("i6")
	before := mustPlan(t, network)
	prefixes[0], addrs[0], also[0], list[0].To, list[1].Hops[0].Via, *rules[0].SuppressPrefixLength = "x", "x", "x", "x", "x", 7
	if after := mustPlan(t, network); !reflect.DeepEqual(after, before) {
		t.Errorf("%s\nis not\n%s", after, before)
	}
	// Nor does a plan share anything with its declaration.
	node := &before.Nodes[0]
	node.Sysctls[0].Key, node.Rulesets[0].Text = "x", "x"
	if after := mustPlan(t, network); strings.Contains(after.String(), "sysctl x") || after.Nodes[0].Rulesets[0].Text == "x" {
		t.Errorf("%s", after)
	}
}

func TestAPlanHasWhatANodeIsGiven(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24").MTU(9000)
	network.Router("fw", lan, lan.At().MTU(1400)).Nft("a").Iptables("c").Nft("b").Ip6tables("d").Ipset("e").Iptables("f", topo.Legacy).Ip6tables("g", topo.NfTables).
		Sysctl("net.ipv4.conf.lan-2.rp_filter", "1").Sysctl("net/ipv4/ip_forward", "1").Loopback("192.0.2.1/32", "fd09::1/128")
	network.Router("off").NoForward()
	network.Host("host")
	network.Host("lost").NoRoutes()
	plan := mustPlan(t, network)
	fw := plan.Nodes[0]
	if want := []topo.Ruleset{{Loader: "nft", Text: "a"}, {Loader: "iptables", Text: "c"}, {Loader: "nft", Text: "b"}, {Loader: "ip6tables", Text: "d"},
		{Loader: "ipset", Text: "e"}, {Loader: "iptables-legacy", Text: "f"}, {Loader: "ip6tables-nft", Text: "g"}}; !reflect.DeepEqual(fw.Rulesets, want) {
		t.Errorf("rules: %+v", fw)
	}
	want := []topo.Sysctl{{Key: "net.ipv4.conf.lan-2.rp_filter", Value: "1"}, {Key: "net/ipv4/ip_forward", Value: "1"}}
	if !reflect.DeepEqual(fw.Sysctls, want) || len(fw.Loopback) != 2 {
		t.Errorf("%+v", fw)
	}
	if fw.Ports[0].MTU != 9000 || fw.Ports[1].MTU != 1400 || plan.Segments[0].MTU != 9000 {
		t.Errorf("MTUs: %+v of %+v", fw.Ports, plan.Segments)
	}
	if !fw.Forward || plan.Nodes[1].Forward || plan.Nodes[2].Forward {
		t.Error("the wrong nodes forward")
	}
	if !fw.Router || !plan.Nodes[1].Router || plan.Nodes[2].Router {
		t.Error("the wrong nodes were declared as routers")
	}
	if fw.NoRoutes || !plan.Nodes[3].NoRoutes {
		t.Error("the wrong node is to have no routes")
	}
}
