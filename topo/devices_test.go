package topo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// devices are a node's interfaces, one a line: "18 br0 bridge master - [10.0.1.1/24]".
func devices(node *topo.NodePlan) (lines []string) {
	for _, d := range node.Devices {
		line := fmt.Sprintf("%d %s %s", d.Index, d.Name, d.Kind)
		if d.Master != "" {
			line += " master " + d.Master
		}
		lines = append(lines, fmt.Sprintf("%s %v", line, d.Addrs))
	}
	return lines
}

func TestDevicesOfANodeArePortsFirst(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.2.0/24")
	r := network.Router("r", lan.As("eth0.100"), wan)
	r.Dummy("d0").Address("192.0.2.1/32", "fd00::1/128")
	plan := mustPlan(t, network)
	same(t, devices(nodeOf(t, plan, "r")), []string{"16 eth0.100 veth [10.0.1.1/24]", "17 wan veth [10.0.2.1/24]", "18 d0 dummy [192.0.2.1/32 fd00::1/128]"})
	if got := plan.Owners(addr("fd00::1")); len(got) != 1 || got[0] != "r" {
		t.Errorf("the dummy's address is %q's", got)
	}
	if !nodeOf(t, plan, "r").HasIPv6() {
		t.Error("the dummy has an IPv6 address")
	}
	if !strings.Contains(plan.String(), "d0 (dummy)") {
		t.Errorf("the plan does not tell of the dummy:\n%s", plan)
	}
}

func TestBridgeTakesOverAddresses(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	one, two := network.Wire("one", "10.0.1.0/24", "fd00:1::/64"), network.Wire("two")
	wan := network.Wire("wan", "10.0.2.0/24")
	network.Host("a", one)
	network.Host("b", two)
	network.Host("site", wan)
	network.Router("r", one.As("eth1"), two.As("eth2"), wan).Bridge("br-lan", one, two)
	plan := mustPlan(t, network)
	same(t, devices(nodeOf(t, plan, "r")), []string{
		"16 eth1 veth master br-lan []", "17 eth2 veth master br-lan []", "18 wan veth [10.0.2.2/24]", "19 br-lan bridge [10.0.1.3/24 fd00:1::3/64]",
	})
	// b is on the same link, and is given what is declared for it.
	if got, want := addresses(nodeOf(t, plan, "b")), "[10.0.1.2/24 fd00:1::2/64]"; got != want {
		t.Errorf("b has %s, not %s", got, want)
	}
	same(t, routes(nodeOf(t, plan, "b")), []string{"0.0.0.0/0 via 10.0.1.3 dev two"})
	same(t, routes(nodeOf(t, plan, "site")), []string{"0.0.0.0/0 via 10.0.2.2 dev wan"})
	if got, ok := plan.Nearest("a", "b", false); !ok || got != addr("10.0.1.2") {
		t.Errorf("b is nearest to a at %v", got)
	}
	if got, ok := plan.Nearest("a", "r", false); !ok || got != addr("10.0.1.3") {
		t.Errorf("r is nearest to a at %v", got)
	}
	if way, ok := plan.Way("site", addr("10.0.1.2")); !ok || way.Via != addr("10.0.2.2") {
		t.Errorf("the way from site to b is %v, %v", way, ok)
	}
}

func TestBridgeWithoutAddress(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	inside, outside := network.Wire("inside", "10.0.1.0/24"), network.Wire("outside")
	network.Host("a", inside)
	network.Host("b", outside)
	network.Host("fw", inside.NoAddress(), outside.NoAddress()).Bridge("br0", inside, outside)
	plan := mustPlan(t, network)
	same(t, devices(nodeOf(t, plan, "fw")), []string{"16 inside veth master br0 []", "17 outside veth master br0 []", "18 br0 bridge []"})
	if got, want := addresses(nodeOf(t, plan, "b")), "[10.0.1.2/24]"; got != want {
		t.Errorf("b has %s, not %s", got, want)
	}
}

func TestSecondPortOnASegmentByName(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan")
	one, two := lan.As("eth0"), lan.As("eth1")
	r := network.Router("r", one, two, wan.NoAddress())
	r.Route(topo.Route{To: "10.9.0.0/16", Via: "10.0.1.9", Dev: two})
	plan := mustPlan(t, network)
	same(t, routes(nodeOf(t, plan, "r")), []string{"10.9.0.0/16 via 10.0.1.9 dev eth1"})
}

func TestMistakesInDevices(t *testing.T) {
	t.Parallel()
	on := func(f func(n *topo.Node, lan, wan *topo.Segment)) func(*topo.Network) {
		return func(n *topo.Network) {
			lan, wan := n.Switch("lan", "10.0.1.0/24"), n.Switch("wan", "10.0.2.0/24")
			f(n.Router("r", lan, wan), lan, wan)
		}
	}
	check(t, []mistake{
		one("node r: bridge br0: the node has an interface of that name already: choose another", on(func(r *topo.Node, lan, wan *topo.Segment) {
			r.Bridge("br0", lan)
			r.Bridge("br0", wan)
		})),
		one(`node r: bridge "": the interface has no name: give it one`, on(func(r *topo.Node, _, _ *topo.Segment) { r.Bridge("") })),
		one("node r: bridge abcdefghijklmnop: the interface's name is too long: the kernel takes 15 bytes",
			on(func(r *topo.Node, _, _ *topo.Segment) { r.Bridge("abcdefghijklmnop") })),
		one("node r: dummy a/b: the kernel takes no such name for an interface: leave out slashes, colons, percent signs and white space",
			on(func(r *topo.Node, _, _ *topo.Segment) { r.Dummy("a/b") })),
		one("node r: dummy lo: the name means another interface, or all of them: choose another",
			on(func(r *topo.Node, _, _ *topo.Segment) { r.Dummy("lo") })),
		one(`node r: segment lan: name "eth%d": the kernel takes no such name for an interface: leave out slashes, colons, percent signs and white space`,
			func(n *topo.Network) { n.Host("r", n.Switch("lan").As("eth%d")) }),
		one("node r: segment lan: name eth0: another port of the node has it: choose another",
			func(n *topo.Network) { lan := n.Switch("lan"); n.Host("r", lan.As("eth0"), lan.As("eth0")) }),
		one("node r: bridge br1: port lan is one of br0 already: take it out of one", on(func(r *topo.Node, lan, wan *topo.Segment) {
			r.Bridge("br0", lan)
			r.Bridge("br1", lan, wan)
		})),
		one("node r: bridge br0: the node is not on segment far: attach it, or choose another device", func(n *topo.Network) {
			far := n.Switch("far")
			n.Host("r").Bridge("br0", far)
		}),
		one("node r: bridge br0: the node has no port eth7 on segment lan: attach it, or choose another",
			on(func(r *topo.Node, lan, _ *topo.Segment) { r.Bridge("br0", lan.As("eth7")) })),
		one("node r: bridge br0: there is no interface: give a segment, a named port or a device",
			on(func(r *topo.Node, _, _ *topo.Segment) { r.Bridge("br0", nil) })),
		one("node r: dummy d0: address \"10.0.0.1\": write it with its prefix length, like 192.0.2.1/32",
			on(func(r *topo.Node, _, _ *topo.Segment) { r.Dummy("d0").Address("10.0.0.1") })),
		one("node r: dummy d0: MTU 20: it must be between 68 and 65535", on(func(r *topo.Node, _, _ *topo.Segment) { r.Dummy("d0").MTU(20) })),
		one(`node r: bridge br0: MAC "x": write it like 02:00:00:00:00:01`, on(func(r *topo.Node, _, _ *topo.Segment) { r.Bridge("br0").MAC("x") })),
		one("segment wan: prefix 10.0.0.0/16 overlaps 10.0.1.0/24 of segment lan, which is one with it: take one out", func(n *topo.Network) {
			lan, wan := n.Switch("lan", "10.0.1.0/24"), n.Switch("wan", "10.0.0.0/16")
			n.Host("r", lan, wan).Bridge("br0", lan, wan)
		}),
		one("node b: segment two: address 10.0.1.9 is node a's already: choose another, or say that it is meant with Duplicate", func(n *topo.Network) {
			one, two := n.Wire("one", "10.0.1.0/24"), n.Wire("two", "10.0.1.0/24")
			n.Host("a", one.At("10.0.1.9"))
			n.Host("b", two.At("10.0.1.9"))
			n.Host("r", one, two).Bridge("br0", one, two)
		}),
	})
}

// two is a router with two tenants of the same addresses.
func two(choose func(r *topo.Node, red, blue []*topo.Segment)) *topo.Network {
	network := topo.New("tenants")
	var at []topo.Attachment
	segments := map[string][]*topo.Segment{}
	for _, tenant := range []string{"red", "blue"} {
		for _, side := range []string{"in", "out"} {
			prefix := map[string]string{"in": "10.0.1.0/24", "out": "10.0.2.0/24"}[side]
			wire := network.Wire(tenant+"/"+side, prefix)
			network.Host(tenant+"/"+side, wire)
			segments[tenant], at = append(segments[tenant], wire), append(at, wire)
		}
	}
	choose(network.Router("r", at...), segments["red"], segments["blue"])
	return network
}

func interfacesOf(segments []*topo.Segment) (all []topo.Interface) {
	for _, s := range segments {
		all = append(all, s)
	}
	return all
}

func TestVRFsAreRoutedByThemselves(t *testing.T) {
	t.Parallel()
	network := two(func(r *topo.Node, red, blue []*topo.Segment) {
		r.VRF("red", 10, interfacesOf(red)...)
		r.VRF("blue", 20, interfacesOf(blue)...)
	})
	plan := mustPlan(t, network)
	if len(plan.Notes) != 0 {
		t.Errorf("nothing overlaps: %q", plan.Notes)
	}
	same(t, devices(nodeOf(t, plan, "r")), []string{
		"16 in veth master red [10.0.1.2/24]", "17 out veth master red [10.0.2.2/24]", "18 in-2 veth master blue [10.0.1.2/24]", "19 out-2 veth master blue [10.0.2.2/24]",
		"20 red vrf []", "21 blue vrf []",
	})
	for _, name := range []string{"red/in", "blue/in"} {
		same(t, routes(nodeOf(t, plan, name)), []string{"0.0.0.0/0 via 10.0.1.2 dev in"})
	}
	same(t, routes(nodeOf(t, plan, "r")), []string{"unreachable 0.0.0.0/0 table 10 metric 4278198272", "unreachable 0.0.0.0/0 table 20 metric 4278198272"})
	if way, ok := plan.Way("red/in", addr("10.0.2.1")); !ok || way.Via != addr("10.0.1.2") {
		t.Errorf("red's way is %v, %v", way, ok)
	}
}

func TestVRFsNeverForwardToEachOther(t *testing.T) {
	t.Parallel()
	network := topo.New("tenants")
	red, blue, far := network.Wire("red", "10.0.1.0/24"), network.Wire("blue", "10.0.2.0/24"), network.Wire("far", "10.0.3.0/24")
	network.Host("a", red)
	network.Host("b", blue)
	network.Host("c", far)
	r := network.Router("r", red, blue, far)
	r.VRF("v", 10, red, far)
	plan := mustPlan(t, network)
	same(t, routes(nodeOf(t, plan, "a")), []string{"0.0.0.0/0 via 10.0.1.2 dev red"})
	same(t, routes(nodeOf(t, plan, "b")), nil) // blue is alone in its domain
	if _, ok := plan.Way("a", addr("10.0.2.1")); ok {
		t.Error("there is a way from the VRF to the rest of the node")
	}
	if _, ok := plan.Way("a", addr("10.0.3.1")); !ok {
		t.Error("there is no way within the VRF")
	}
}

func TestVRFHasRoutesOfItsTable(t *testing.T) {
	t.Parallel()
	network := topo.New("core")
	one, mid, two := network.Wire("one", "10.0.1.0/24"), network.Wire("mid", "10.0.2.0/24"), network.Wire("two", "10.0.3.0/24")
	network.Host("a", one)
	r := network.Router("r", one, mid)
	r.VRF("v", 10, one, mid)
	r.Route(topo.Route{To: "10.9.0.0/16", Via: "10.0.1.1", Table: 10})
	network.Router("s", mid, two)
	network.Host("b", two)
	plan := mustPlan(t, network)
	same(t, routes(nodeOf(t, plan, "r")), []string{
		"10.9.0.0/16 via 10.0.1.1 dev one table 10", "10.0.3.0/24 via 10.0.2.2 dev mid table 10", "unreachable 0.0.0.0/0 table 10 metric 4278198272",
	})
	if !strings.Contains(plan.String(), "v (vrf table 10 of one, mid)") {
		t.Errorf("the plan does not tell of the VRF:\n%s", plan)
	}
}

func TestBondTakesOverAddresses(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	r := network.Host("r", lan.As("eth0"), lan.As("eth1"))
	r.Bond("bond0", topo.LACP, lan.As("eth0"), lan.As("eth1"))
	network.Host("a", lan)
	plan := mustPlan(t, network)
	same(t, devices(nodeOf(t, plan, "r")), []string{"16 eth0 veth master bond0 []", "17 eth1 veth master bond0 []", "18 bond0 bond [10.0.1.1/24]"})
	if mode := nodeOf(t, plan, "r").Devices[2].Mode; mode != "802.3ad" {
		t.Errorf("mode %s", mode)
	}
	if got := addresses(nodeOf(t, plan, "a")); got != "[10.0.1.2/24]" {
		t.Errorf("a has %s", got)
	}
}

func TestMistakesInVRFsAndBonds(t *testing.T) {
	t.Parallel()
	on := func(f func(r *topo.Node, lan *topo.Segment)) func(*topo.Network) {
		return func(n *topo.Network) { lan := n.Switch("lan", "10.0.1.0/24"); f(n.Router("r", lan), lan) }
	}
	check(t, []mistake{
		one("node r: vrf v: table 254: it is between 1 and 4294967295, and none of 253, 254 and 255, which are everybody's",
			on(func(r *topo.Node, lan *topo.Segment) { r.VRF("v", 254, lan) })),
		one("node r: vrf w: table 10 is that of v: choose another", on(func(r *topo.Node, lan *topo.Segment) { r.VRF("v", 10, lan); r.VRF("w", 10) })),
		one("node r: bond b: it has 0 ports: give it 1", on(func(r *topo.Node, _ *topo.Segment) { r.Bond("b", topo.ActiveBackup) })),
		one("node r: bond b: mode 9: it is one of balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb, balance-alb",
			on(func(r *topo.Node, lan *topo.Segment) { r.Bond("b", 9, lan) })),
	})
}
