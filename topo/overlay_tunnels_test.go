package topo_test

import (
	"fmt"
	"testing"

	"github.com/nstest/nstest/topo"
)

// pair is two hosts on an underlay, and a segment over it.
func pair(n *topo.Network, under string, over func(core *topo.Segment) *topo.Segment) {
	core := n.Switch("core", under)
	red := over(core)
	n.Host("a", core, red)
	n.Host("b", core, red)
}

func TestTunnelsKnowTheirEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		under string
		over  func(n *topo.Network, core *topo.Segment) *topo.Segment
		want  string
	}{
		{"192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment {
			return n.Geneve("red", core, 42, "10.0.1.0/24")
		}, "red geneve on core 42 from 192.0.2.1 to [192.0.2.2] mtu 1450"},
		{"fd00:9::/64", func(n *topo.Network, core *topo.Segment) *topo.Segment {
			return n.Geneve("red", core, 42, "10.0.1.0/24")
		}, "red geneve on core 42 from fd00:9::1 to [fd00:9::2] mtu 1430"},
		{"192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.GRE("red", core, 0, "10.0.1.0/24") }, "red gre on core 0 from 192.0.2.1 to [192.0.2.2] mtu 1476"},
		{"192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7, "10.0.1.0/24") }, "red gre on core 7 from 192.0.2.1 to [192.0.2.2] mtu 1472"},
		{"fd00:9::/64", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7, "10.0.1.0/24") }, "red ip6gre on core 7 from fd00:9::1 to [fd00:9::2] mtu 1452"},
		{"192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.IPIP("red", core, "10.0.1.0/24") }, "red ipip on core 0 from 192.0.2.1 to [192.0.2.2] mtu 1480"},
		{"192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.SIT("red", core, "fd00:1::/64") }, "red sit on core 0 from 192.0.2.1 to [192.0.2.2] mtu 1480"},
	} {
		network := topo.New("dc")
		pair(network, kind.under, func(core *topo.Segment) *topo.Segment { return kind.over(network, core) })
		a := nodeOf(t, mustPlan(t, network), "a")
		same(t, stacked(a), []string{"core veth", kind.want})
		if bare := a.Devices[1].Kind != "geneve"; bare != (a.Devices[1].MAC == [6]byte{}) {
			t.Errorf("%s has MAC %x", kind.want, a.Devices[1].MAC)
		}
	}
}

func TestAMeshOfGREKnowsItsNeighbours(t *testing.T) {
	t.Parallel()
	network := topo.New("wan")
	core := network.Switch("core", "192.0.2.0/24")
	mesh := network.GRE("mesh", core, 0, "10.0.1.0/24", "fd00:1::/64")
	network.Host("a", core, mesh)
	network.Host("b", mesh, core)
	network.Router("c", core, mesh)
	b := nodeOf(t, mustPlan(t, network), "b")
	same(t, stacked(b), []string{"mesh gre on core 0 from 192.0.2.2 to [] mtu 1476", "core veth"})
	if got, want := fmt.Sprint(b.Devices[0].Neighbours), "[{10.0.1.1 192.0.2.1} {fd00:1::1 192.0.2.1} {10.0.1.3 192.0.2.3} {fd00:1::3 192.0.2.3}]"; got != want {
		t.Errorf("b has %s, not %s", got, want)
	}
}

func TestATunnelOverATunnelIsSmaller(t *testing.T) {
	t.Parallel()
	network := topo.New("dc")
	pair(network, "192.0.2.0/24", func(core *topo.Segment) *topo.Segment { return network.GRE("red", core, 0, "10.0.1.0/24") })
	over := network.Geneve("over", network.Segment("red"), 7, "10.0.2.0/24")
	network.Node("a").Attach(over)
	network.Node("b").Attach(over)
	same(t, stacked(nodeOf(t, mustPlan(t, network), "a")), []string{
		"core veth", "red gre on core 0 from 192.0.2.1 to [192.0.2.2] mtu 1476", "over geneve on red 7 from 10.0.1.1 to [10.0.1.2] mtu 1426",
	})
}

func TestMistakesInTunnels(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one("segment red: geneve joins two nodes, and there are 3 (a, b, c): declare one for each pair of nodes, or a VXLAN", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.Geneve("red", core, 1) })
			n.Host("c", n.Segment("core"), n.Segment("red"))
		}),
		one("segment red: ipip joins two nodes, and there is 1 (a): attach another", func(n *topo.Network) {
			core := n.Switch("core", "10.0.0.0/24")
			n.Host("a", core, n.IPIP("red", core))
		}),
		one("segment red: sit joins two nodes, and both ends are node a's: attach another", func(n *topo.Network) {
			core := n.Switch("core", "10.0.0.0/24")
			red := n.SIT("red", core)
			n.Host("a", core, red, red)
		}),
		one("node a: segment red: address 10.0.1.1: sit carries IPv6 alone: take it out, or choose another kind\n"+
			"node b: segment red: address 10.0.1.2: sit carries IPv6 alone: take it out, or choose another kind", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.SIT("red", core, "10.0.1.0/24") })
		}),
		one("node a: segment red: the nodes on it have not all an IPv4 address on the segment below: give them one\n"+
			"node b: segment red: the nodes on it have not all an IPv4 address on the segment below: give them one", func(n *topo.Network) {
			pair(n, "fd00::/64", func(core *topo.Segment) *topo.Segment { return n.IPIP("red", core) })
		}),
		one("node c: segment red: it is over segment core, on which the node has no port: attach it there as well", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.GRE("red", core, 1, "10.0.1.0/24") })
			n.Host("c", n.Segment("red"))
		}),
		one("node a: segment red: the kernel takes a mesh of GRE over IPv4 alone: give all its nodes IPv4 addresses on the segment below, or declare one for each pair\n"+
			"node b: segment red: the kernel takes a mesh of GRE over IPv4 alone: give all its nodes IPv4 addresses on the segment below, or declare one for each pair\n"+
			"node c: segment red: the kernel takes a mesh of GRE over IPv4 alone: give all its nodes IPv4 addresses on the segment below, or declare one for each pair", func(n *topo.Network) {
			pair(n, "fd00::/64", func(core *topo.Segment) *topo.Segment { return n.GRE("red", core, 1, "10.0.1.0/24") })
			n.Host("c", n.Segment("core"), n.Segment("red"))
		}),
		one("segment red: key -1: it is between 0 and 2147483647", func(n *topo.Network) { n.GRE("red", n.Switch("core"), -1) }),
		one("segment red: VNI 0: it is between 1 and 16777215", func(n *topo.Network) { n.Geneve("red", n.Switch("core"), 0) }),
		one("node a: segment blue: segment red has the same ends there and the same key, and the kernel cannot tell the two apart: choose another kind, or other nodes\n"+
			"node b: segment blue: segment red has the same ends there and the same key, and the kernel cannot tell the two apart: choose another kind, or other nodes", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7) })
			blue := n.GRE("blue", n.Segment("core"), 7)
			n.Node("a").Attach(blue)
			n.Node("b").Attach(blue)
		}),
		one("node a: segment red: the node is on it twice, and the kernel cannot tell the two apart: take one out", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7, "10.0.1.0/24") })
			n.Node("a").Attach(n.Segment("red"))
		}),
		one("node a: segment red: the node is on it twice, and the kernel cannot tell the two apart: take one out", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.VXLAN("red", core, 7, "10.0.1.0/24") })
			n.Node("a").Attach(n.Segment("red"))
		}),
		one("node a: segment red: the node is on it twice, and the kernel cannot tell the two apart: take one out", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.VLAN("red", core, 7, "10.0.1.0/24") })
			n.Node("a").Attach(n.Segment("red"))
		}),
		one("node a: segment blue: segment red has VNI 7 as well, and the kernel cannot tell the two apart: choose another VNI", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.VXLAN("red", core, 7, "10.0.1.0/24") })
			edge := n.Switch("edge", "10.0.2.0/24")
			blue := n.VXLAN("blue", edge, 7, "10.0.3.0/24") // b is on red alone, c on blue alone
			n.Node("a").Attach(edge, blue)
			n.Host("c", edge, blue)
		}),
		one("segment tagged: vlan is made of frames, and segment red, gre, carries packets alone: choose another", func(n *topo.Network) {
			pair(n, "10.0.0.0/24", func(core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7) })
			n.VLAN("tagged", n.Segment("red"), 7)
		}),
		one("node c: bridge br0: port red is on a segment of gre, which carries packets and no frames: take it out", func(n *topo.Network) {
			core := n.Switch("core", "10.0.0.0/24")
			red := n.GRE("red", core, 7)
			n.Host("a", core, red)
			n.Host("c", core, red).Bridge("br0", red)
		}),
		one("node a: segment red: MAC 02:00:00:00:00:01: ports of gre have none: leave it out", func(n *topo.Network) {
			core := n.Switch("core", "10.0.0.0/24")
			red := n.GRE("red", core, 7)
			n.Host("a", core, red.MAC("02:00:00:00:00:01"))
			n.Host("b", core, red)
		}),
		one("node a: segment core: name \"gre0\": the name means another interface, or all of them: choose another", func(n *topo.Network) {
			n.Host("a", n.Switch("core").As("gre0"))
		}),
	})
}
