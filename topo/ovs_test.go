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
