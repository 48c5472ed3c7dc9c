package topo_test

import (
	"fmt"
	"testing"

	"github.com/nstest/nstest/topo"
)

// stacked are a node's interfaces with what they are made on: "red vxlan on core 42".
func stacked(node *topo.NodePlan) (lines []string) {
	for _, d := range node.Devices {
		line := d.Name + " " + d.Kind
		if d.Parent != "" {
			line += fmt.Sprintf(" on %s %d", d.Parent, d.ID)
		}
		if d.Local.IsValid() {
			line += fmt.Sprintf(" from %s to %v", d.Local, d.Remotes)
		}
		if d.MTU != 0 {
			line += fmt.Sprintf(" mtu %d", d.MTU)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestVXLANKnowsItsEnds(t *testing.T) {
	t.Parallel()
	network := topo.New("dc")
	core := network.Switch("core", "192.0.2.0/24", "fd00:9::/64")
	red := network.VXLAN("red", core, 42, "10.0.1.0/24")
	network.Host("a", core, red)
	network.Host("b", red, core.MTU(1400))
	network.Router("c", core, red)
	plan := mustPlan(t, network)
	same(t, stacked(nodeOf(t, plan, "a")), []string{"core veth mtu 1400", "red vxlan on core 42 from 192.0.2.1 to [192.0.2.2 192.0.2.3] mtu 1350"})
	same(t, stacked(nodeOf(t, plan, "b")), []string{"red vxlan on core 42 from 192.0.2.2 to [192.0.2.1 192.0.2.3] mtu 1350", "core veth mtu 1400"})
	if got, want := addresses(nodeOf(t, plan, "b")), "[10.0.1.2/24] [192.0.2.2/24 fd00:9::2/64]"; got != want {
		t.Errorf("b has %s, not %s", got, want)
	}
	if s, _ := plan.Segment("red"); s.Over != "core" || s.ID != 42 || s.Kind.String() != "vxlan" || s.MTU != 1350 {
		t.Errorf("%+v", s)
	}
}

func TestVXLANOverIPv6IsSmaller(t *testing.T) {
	t.Parallel()
	network := topo.New("dc")
	core := network.Switch("core", "fd00:9::/64")
	red := network.VXLAN("red", core, 42, "10.0.1.0/24")
	over := network.VXLAN("over", red, 7)
	network.Host("a", core, red, over)
	network.Host("b", core, red, over)
	same(t, stacked(nodeOf(t, mustPlan(t, network), "a")), []string{
		"core veth", "red vxlan on core 42 from fd00:9::1 to [fd00:9::2] mtu 1430", "over vxlan on red 7 from 10.0.1.1 to [10.0.1.2] mtu 1380",
	})
}

func TestVLANIsOverItsTrunk(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk")
	red, blue := network.VLAN("red", trunk, 100, "10.0.1.0/24"), network.VLAN("blue", trunk, 200, "10.0.2.0/24")
	network.Router("r", trunk.As("eth0"), red.As("eth0.100"), blue.As("eth0.200"))
	network.Host("a", trunk, red)
	network.Host("b", trunk, blue)
	plan := mustPlan(t, network)
	same(t, stacked(nodeOf(t, plan, "r")), []string{"eth0 veth", "eth0.100 vlan on eth0 100", "eth0.200 vlan on eth0 200"})
	same(t, routes(nodeOf(t, plan, "a")), []string{"0.0.0.0/0 via 10.0.1.1 dev red"})
}

func TestMACVLANIsOneWithWhatItIsOver(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	second := network.MACVLAN("second", lan)
	network.Host("a", lan)
	network.Host("b", lan.NoAddress(), second)
	plan := mustPlan(t, network)
	if got, want := addresses(nodeOf(t, plan, "b")), "[] [10.0.1.2/24]"; got != want {
		t.Errorf("b has %s, not %s", got, want)
	}
	if plan.Link("second") != "lan" {
		t.Errorf("second is in %s", plan.Link("second"))
	}
}

func TestIPVLANHasItsPortsMAC(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	second := network.IPVLAN("second", lan)
	network.Host("a", lan)
	network.Host("b", lan.NoAddress(), second)
	plan := mustPlan(t, network)
	b := nodeOf(t, plan, "b")
	if got, want := addresses(b), "[] [10.0.1.2/24]"; got != want {
		t.Errorf("b has %s, not %s", got, want)
	}
	if plan.Link("second") != "lan" || b.Ports[0].MAC != b.Ports[1].MAC || b.Ports[0].MAC == [6]byte{} {
		t.Errorf("second is in %s, with %x and not %x", plan.Link("second"), b.Ports[1].MAC, b.Ports[0].MAC)
	}
}

func TestMistakesInOverlays(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one("node a: segment red: it is over segment core, on which the node has no port: attach it there as well", func(n *topo.Network) {
			n.Host("a", n.VXLAN("red", n.Switch("core", "10.0.0.0/24"), 1))
		}),
		one("node a: segment tap: lan has the ipvlan second already, and the kernel takes no macvlan there as well: take one out", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/24")
			n.Host("a", lan, n.IPVLAN("second", lan), n.MACVLAN("tap", lan))
		}),
		one("segment red: it is over no segment: declare that in this network", func(n *topo.Network) { n.VXLAN("red", nil, 1) }),
		one("segment red: VNI 0: it is between 1 and 16777215", func(n *topo.Network) { n.VXLAN("red", n.Switch("core"), 0) }),
		one("segment red: VLAN 4095: it is between 1 and 4094", func(n *topo.Network) { n.VLAN("red", n.Switch("core"), 4095) }),
		one("segment blue: VLAN 7 is that of segment red: choose another", func(n *topo.Network) {
			core := n.Switch("core")
			n.VLAN("red", core, 7)
			n.VLAN("blue", core, 7)
		}),
		one("node b: segment red: the nodes on it have no address of one family in common on the segment below: give them one", func(n *topo.Network) {
			core := n.Switch("core", "10.0.0.0/24")
			red := n.VXLAN("red", core, 7)
			n.Host("b", core.NoAddress(), red)
		}),
		one("segment red: it is over segment core of network other: declare that in this network", func(n *topo.Network) {
			n.VXLAN("red", topo.New("other").Switch("core"), 7)
		}),
	})
}
