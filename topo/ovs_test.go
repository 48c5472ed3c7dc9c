package topo_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestAnOpenVSwitchIsPlannedWithItsFlows(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.OVS("br-int", "10.0.1.0/24").Flow("priority=10,icmp,in_port=pc,actions=drop", " table=1,actions=NORMAL ")
	network.Host("pc", lan.Access(100))
	network.Host("web", lan.Access(100))
	network.Host("tap", lan.Trunk(100, 200).NoAddress())
	plan := mustPlan(t, network)
	segment, _ := plan.Segment("br-int")
	if segment.Kind != topo.KindOVS || !segment.Kind.IsSwitch() || segment.Bridge != "br-int" || segment.Ports[0].Outer != "pc" {
		t.Errorf("%+v", segment)
	}
	same(t, segment.Flows, []string{"priority=10,icmp,in_port=pc,actions=drop", "table=1,actions=NORMAL"})
	if got := plan.VLANs("br-int"); len(got[100]) != 3 || len(got[200]) != 1 {
		t.Errorf("VLANs %v", got)
	}
	for _, want := range []string{"br-int   openvswitch  1500", "br-int   priority=10,icmp,in_port=pc,actions=drop\n", "br-int [trunk 100 200]"} {
		if !strings.Contains(plan.String(), want) {
			t.Errorf("no %q in\n%s", want, plan)
		}
	}
	if copied := mustPlan(t, network.Copy(plan)); copied.String() != plan.String() {
		t.Errorf("a copy is\n%s", copied)
	}
}

// cloud is a switch of tenants', patched to two others, of which one is at the nodes outside.
func cloud() *topo.Network {
	network := topo.New("cloud")
	outside := network.OVS("br-ex")
	tunnels := network.OVS("br-tun")
	lan := network.OVS("br-int", "10.0.1.0/24").Patch(outside, tunnels)
	network.Host("pc", lan)
	network.Host("web", outside)
	network.Host("far", tunnels)
	return network
}

// patches are those of a segment, in words.
func patches(s *topo.SegmentPlan) (texts []string) {
	for _, patch := range s.Patches {
		texts = append(texts, patch.Name+" to "+patch.To+" "+patch.Peer)
	}
	return texts
}

func TestPatchPortsJoinOpenVSwitches(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, cloud())
	inner, _ := plan.Segment("br-int")
	same(t, patches(inner), []string{"br-int-br-ex to br-ex br-ex-br-int", "br-int-br-tun to br-tun br-tun-br-int"})
	outer, _ := plan.Segment("br-ex")
	same(t, patches(outer), []string{"br-ex-br-int to br-int br-int-br-ex"})
	for _, name := range []string{"br-int", "br-ex", "br-tun"} {
		var joined []string
		for _, s := range plan.Patched(name) {
			joined = append(joined, s.Name)
		}
		same(t, joined, []string{"br-ex", "br-tun", "br-int"})
	}
	for _, name := range []string{"pc", "web", "far"} {
		if node, _ := plan.Node(name); len(node.Ports[0].Addrs) != 1 || !inner.Prefixes[0].Contains(node.Ports[0].Addrs[0].Addr()) {
			t.Errorf("node %s has %v", name, node.Ports[0].Addrs)
		}
	}
	if want := "br-int   br-int-br-ex   br-ex br-ex-br-int\n"; !strings.Contains(plan.String(), want) {
		t.Errorf("no %q in\n%s", want, plan)
	}
	if copied := mustPlan(t, cloud().Copy(plan)); copied.String() != plan.String() {
		t.Errorf("a copy is\n%s", copied)
	}
	if plan.Patched("lan") != nil || len(mustPlan(t, topo.New("none")).Patched("")) != 0 {
		t.Error("a segment that is not there is joined to some")
	}
}

func TestMistakesOfPatchPorts(t *testing.T) {
	t.Parallel()
	network := topo.New("cloud")
	bridge := network.Switch("lan", "10.0.2.0/24")
	a, b, c := network.OVS("a"), network.OVS("b"), network.OVS("c", "10.0.1.0/24")
	a.Patch(b, a, bridge, nil, topo.New("other").OVS("d"))
	b.Patch(c)
	c.Patch(a)
	bridge.Patch(a)
	err := network.Validate()
	for _, want := range []string{
		"segment a: patched to itself: take that out",
		"segment a: patched to lan: that is a switch, which has no patch ports: declare it with OVS",
		"segment a: patched to no segment: declare it in this network",
		"segment a: patched to segment d of network other: declare it in this network",
		"segment c: patched to a: patch ports join them already, and frames would go round for ever: take one out",
		"segment lan: patched to a: it is a switch itself, which has no patch ports: declare it with OVS",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	var none *topo.Segment
	if none.Patch(a) != nil {
		t.Error("a nil segment is something")
	}
}

func TestMistakesOfOpenVSwitches(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.OVS("br-int", "10.0.1.0/24").Flow("", "priority=1", "actions=drop\nactions=NORMAL")
	bridge := network.Switch("lan", "10.0.2.0/24").Flow("actions=drop")
	network.Host("pc", lan.Isolated(), bridge)
	network.Host("web", lan.Static("02:00:00:00:00:01"), bridge)
	network.Host("tv", lan.Access(0), bridge)
	err := network.Validate()
	for _, want := range []string{
		"segment br-int: flow 1 is empty",
		`segment br-int: flow "priority=1" has no actions`,
		`segment br-int: flow "actions=drop\nactions=NORMAL" is several lines`,
		"segment lan: it is a switch, which has no flows: declare it with OVS",
		"node pc: segment br-int: it is an Open vSwitch, of whose ports VLANs are chosen (Access, Trunk)",
		"node web: segment br-int: it is an Open vSwitch",
		"node tv: segment br-int: VLAN 0",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	var none *topo.Segment
	if none.Flow("actions=drop") != nil {
		t.Error("a nil segment is something")
	}
}
