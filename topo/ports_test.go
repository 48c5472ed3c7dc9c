package topo_test

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

// A port is a value: what is chosen about one changes no other.
func TestPortsAreValues(t *testing.T) {
	t.Parallel()
	network := topo.New("values")
	lan := network.Switch("lan", "10.0.1.0/24")
	base := lan.At("10.0.1.100").Also("192.0.2.1/32")
	left, right := base.At("10.0.1.101").Also("192.0.2.2/32"), base.At("10.0.1.102").Also("192.0.2.3/32").MTU(1400).MAC("02:00:00:00:00:01")
	network.Host("left", left.Duplicate())
	network.Host("right", &right)
	network.Host("base", base.NoAddress())
	network.Host("plain", lan)
	plan := mustPlan(t, network)
	for i, want := range []string{
		"[10.0.1.100/24 10.0.1.101/24 192.0.2.1/32 192.0.2.2/32]", "[10.0.1.100/24 10.0.1.102/24 192.0.2.1/32 192.0.2.3/32]",
		"[10.0.1.100/24 192.0.2.1/32]", "[10.0.1.1/24]",
	} {
		if got := addresses(&plan.Nodes[i]); got != want {
			t.Errorf("node %s: %s, not %s", plan.Nodes[i].Name, got, want)
		}
	}
	for i, want := range []int{0, 1400, 0, 0} {
		if got := plan.Nodes[i].Ports[0].MTU; got != want {
			t.Errorf("node %s: MTU %d, not %d", plan.Nodes[i].Name, got, want)
		}
	}
	if plan.Nodes[1].Ports[0].MAC != [6]byte{2, 0, 0, 0, 0, 1} || plan.Nodes[2].Ports[0].MAC == [6]byte{2, 0, 0, 0, 0, 1} {
		t.Error("the MAC is the wrong port's")
	}
}

func TestSegmentsListTheirPorts(t *testing.T) {
	t.Parallel()
	network := topo.New("refs")
	wire, lan := network.Wire("wire"), network.Switch("t/lan")
	network.Host("b", lan, wire)
	network.Host("a", wire, lan)
	plan := mustPlan(t, network)
	for i, want := range [][]topo.PortRef{
		{{Node: "b", Port: "wire"}, {Node: "a", Port: "wire"}},
		{{Node: "b", Port: "lan", Outer: "b"}, {Node: "a", Port: "lan", Outer: "a"}},
	} {
		got := plan.Segments[i].Ports
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%+v, not %+v", got, want)
		}
	}
	if ports := plan.Nodes[0].Ports; ports[0].Segment != "t/lan" || ports[1].Segment != "wire" {
		t.Errorf("%+v", ports)
	}
}

func TestMTUsThatAreRight(t *testing.T) {
	t.Parallel()
	network := topo.New("mtus")
	four, six := network.Switch("four", "10.0.1.0/24").MTU(68), network.Switch("six", "fd00::/64").MTU(1280)
	dual := network.Switch("dual", "10.0.2.0/24", "fd02::/64").MTU(65535)
	network.Host("a", four, six, dual)
	// Without an IPv6 address the port needs no more than IPv4 does.
	network.Host("b", four.At().MTU(9000), six.NoAddress().MTU(100), dual.NoAddress().At("10.0.2.9").MTU(576))
	plan := mustPlan(t, network)
	for i, want := range [][]int{{68, 1280, 65535}, {9000, 100, 576}} {
		for j := range want {
			if got := plan.Nodes[i].Ports[j].MTU; got != want[j] {
				t.Errorf("node %s: port %d: %d, not %d", plan.Nodes[i].Name, j, got, want[j])
			}
		}
	}
}

func TestSysctlsThatAreRight(t *testing.T) {
	t.Parallel()
	network := topo.New("sysctls")
	node := network.Host("a", network.Switch("lan"), network.Switch("eth0.5"))
	keys := []string{
		"net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.nf_conntrack_max", "net.core.somaxconn",
		"net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter", "net.ipv6.conf.lo.disable_ipv6",
		"net.ipv4.conf.lan.rp_filter", "net/ipv4/conf/eth0.5/rp_filter", "net.ipv4.neigh.lan.gc_stale_time",
	}
	for _, key := range keys {
		node.Sysctl(key, "1")
	}
	node.Sysctl("net.ipv6.icmp.ratemask", "\n")
	plan := mustPlan(t, network)
	for i, key := range keys {
		if got := plan.Nodes[0].Sysctls[i].Key; got != key {
			t.Errorf("%s is not %s", got, key)
		}
	}
}
