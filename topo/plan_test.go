package topo_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"github.com/nstest/nstest/topo"
)

func tenants(n int) *topo.Network {
	network := topo.New("tenants")
	for i := range n {
		wire := network.Wire(fmt.Sprintf("t%d/lan", i), "10.0.0.0/24", "fd00::/64")
		network.Host(fmt.Sprintf("t%d/client", i), wire)
		network.Host(fmt.Sprintf("t%d/server", i), wire.Also("10.9.0.1/32")).Loopback("10.9.0.1/32")
	}
	return network
}

func TestOwners(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, tenants(3))
	for text, want := range map[string][]string{
		"10.0.0.1":        {"t0/client", "t1/client", "t2/client"},
		"fd00::2":         {"t0/server", "t1/server", "t2/server"},
		"fd00::2%eth0":    {"t0/server", "t1/server", "t2/server"},
		"::ffff:10.0.0.1": {"t0/client", "t1/client", "t2/client"},
		"10.9.0.1":        {"t0/server", "t1/server", "t2/server"}, // once each
		"10.0.0.3":        nil,
	} {
		if got := plan.Owners(addr(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, not %q", text, got, want)
		}
	}
	if got := plan.Owners(netip.Addr{}); got != nil {
		t.Errorf("the zero address: %q", got)
	}
	got := plan.Owners(addr("10.0.0.1"))
	got[0] = "x"
	if plan.Owners(addr("10.0.0.1"))[0] == "x" {
		t.Error("the answer is the caller's")
	}
}

// A plan that somebody put together by hand answers too.
func TestPlanByHand(t *testing.T) {
	t.Parallel()
	plan := &topo.Plan{Name: "hand", Nodes: []topo.NodePlan{{Name: "a", Loopback: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}, {Name: "b"}}}
	if got := plan.Owners(addr("192.0.2.1")); !reflect.DeepEqual(got, []string{"a"}) {
		t.Errorf("owners: %q", got)
	}
	if node, ok := plan.Node("b"); !ok || node != &plan.Nodes[1] {
		t.Errorf("node b: %v, %v", node, ok)
	}
	if _, ok := plan.Node("c"); ok {
		t.Error("there is no node c")
	}
}

func TestNodeAndSegmentByName(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, tenants(2))
	if node, ok := plan.Node("t1/client"); !ok || node != &plan.Nodes[2] {
		t.Errorf("node: %v, %v", node, ok)
	}
	if segment, ok := plan.Segment("t1/lan"); !ok || segment != &plan.Segments[1] {
		t.Errorf("segment: %v, %v", segment, ok)
	}
	if node, ok := plan.Node("lan"); ok || node != nil {
		t.Errorf("there is no such node: %v", node)
	}
	if segment, ok := plan.Segment("lan"); ok || segment != nil {
		t.Errorf("there is no such segment: %v", segment)
	}
}

func TestFamiliesOfANode(t *testing.T) {
	t.Parallel()
	network := topo.New("families")
	network.Host("none", network.Switch("raw"))
	network.Host("four", network.Switch("s4", "10.0.1.0/24"))
	network.Host("six", network.Switch("s6", "fd00::/64"))
	network.Host("both", network.Switch("s46", "10.0.2.0/24", "fd01::/64"))
	network.Host("lo").Loopback("192.0.2.1/32")
	for _, node := range mustPlan(t, network).Nodes {
		want := map[string][2]bool{"four": {true, false}, "six": {false, true}, "both": {true, true}, "lo": {true, false}}[node.Name]
		if got := [2]bool{node.HasIPv4(), node.HasIPv6()}; got != want {
			t.Errorf("node %s: %v, not %v", node.Name, got, want)
		}
	}
}

// Questions may come from many goroutines at once.
func TestPlanAnswersInParallel(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, tenants(20))
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			for j := range 20 {
				from, to := fmt.Sprintf("t%d/client", (i+j)%20), fmt.Sprintf("t%d/server", (i+j)%20)
				if got, ok := plan.Nearest(from, to, j%2 == 0); !ok || len(plan.Owners(got)) != 20 {
					t.Errorf("from %s: %s, %v", from, got, ok)
				}
			}
		})
	}
	asking.Wait()
}

func TestNamesOfKindsAndTypes(t *testing.T) {
	t.Parallel()
	for got, want := range map[fmt.Stringer]string{
		topo.KindWire: "wire", topo.KindSwitch: "switch",
		topo.Unicast: "unicast", topo.Blackhole: "blackhole", topo.Unreachable: "unreachable", topo.Prohibit: "prohibit",
	} {
		if got.String() != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	network := topo.New("office")
	if network.Name() != "office" || network.Switch("lan").Name() != "lan" || network.Host("a").Name() != "a" {
		t.Error("a name is another")
	}
}
