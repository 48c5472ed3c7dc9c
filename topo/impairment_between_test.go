package topo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
)

func TestImpairmentsBetweenTwo(t *testing.T) {
	t.Parallel()
	slow, lossy, none := topo.Impairment{Delay: 20 * time.Millisecond}, topo.Impairment{Loss: 0.01}, topo.Impairment{}
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24").ImpairBetween("a", "b", lossy).ImpairBetween("b", "a", slow).ImpairBetween("c", "a", lossy)
	network.Host("a", lan)
	network.Host("b", lan.At().ImpairReceived(lossy).ImpairReceivedFrom("c", none), lan.As("second"))
	network.Host("c", lan.At().ImpairReceivedFrom("a", slow))
	for name, plan := range map[string]*topo.Plan{"declared": mustPlan(t, network), "copied": mustPlan(t, network.Copy(nil))} {
		for _, want := range []struct {
			to, port, from, by string
			happens            topo.Impairment
		}{
			{"a", "lan", "b", "lan", slow}, {"a", "lan", "b", "second", slow}, {"a", "lan", "c", "lan", lossy}, {"b", "lan", "a", "lan", slow}, {"b", "second", "a", "lan", slow},
			{"b", "lan", "c", "lan", none}, {"b", "second", "c", "lan", none}, {"c", "lan", "a", "lan", slow}, {"c", "lan", "b", "lan", none}, {"b", "lan", "d", "lan", lossy},
		} {
			if port, has := nodeOf(t, plan, want.to).Port(want.port); !has || port.From(want.from, want.by) != want.happens {
				t.Errorf("%s: %s/%s receives from %s/%s: %s, not %s", name, want.to, want.port, want.from, want.by, port.From(want.from, want.by), want.happens)
			}
		}
		for _, want := range []string{
			"lan [receives from b: delay 20ms] [receives from b/second: delay 20ms] [receives from c: loss 1 %]\n",
			"lan [receives: loss 1 %] [receives from a: delay 20ms] [receives from c: nothing happens]\n", "lan [receives from a: delay 20ms]\n",
		} {
			if !strings.Contains(strings.Join(strings.Fields(plan.String()), " "), strings.TrimSpace(want)) {
				t.Errorf("%s: the plan does not tell %q:\n%s", name, want, plan)
			}
		}
	}
	kept := mustPlan(t, network)
	less := network.Copy(kept)
	less.Remove(less.Node("b"))
	if plan := mustPlan(t, less); len(nodeOf(t, plan, "a").Ports[0].ReceivesFrom) != 1 || len(nodeOf(t, kept, "a").Ports[0].ReceivesFrom) != 3 {
		t.Errorf("without b:\n%s\nwith it:\n%s", plan, kept)
	}
	if mustPlan(t, network).String() != kept.String() {
		t.Error("a copy's node was taken away, and the network's pairs with it")
	}
}

func TestMistakesAboutImpairmentsBetweenTwo(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	ill := topo.Impairment{Loss: 1}
	lan := network.Switch("lan", "10.0.1.0/24").ImpairBetween("a", "nobody", ill).ImpairBetween("a", "a", ill).ImpairBetween("a", "b", topo.Impairment{Loss: 7})
	wire, empty := network.Wire("wire", "10.0.2.0/24").ImpairBetween("a", "c", ill), network.Switch("empty", "10.0.4.0/24").ImpairBetween("a", "b", ill)
	br, over := network.OVS("br", "10.0.5.0/24").ImpairBetween("b", "c", ill), network.VLAN("over", lan, 7, "10.0.3.0/24").ImpairBetween("a", "b", ill)
	network.Host("a", lan, over, wire)
	network.Host("b", lan.At().ImpairReceivedFrom("c", ill), over, br)
	network.Host("c", wire, br.At().ImpairReceivedFrom("b", ill))
	_ = empty
	err := network.Validate()
	for _, want := range []string{
		"segment lan: impaired between a and nobody: node nobody has no port there: name one that has (a, b)",
		"segment lan: impaired between a and a: that is one node: name two", "segment lan: impaired between a and b: impairment: loss 7: it is a part of one",
		"segment wire: impaired between a and c: a wire joins two alone: choose what happens to all that they send (Impair)",
		"segment empty: impaired between a and b: node a has no port there, nor has any other: attach them",
		"segment br: impaired between b and c: it is an Open vSwitch, which queues by itself", "node c: segment br: receives from b: it is an Open vSwitch",
		"segment over: impaired between a and b: it is a vlan, whose frames pass no switch of its own: choose it of the switch that they pass",
		"node b: segment lan: receives from c: node c has no port there: name one that has (a, b)",
	} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("%v\ndoes not say once %q", err, want)
		}
	}
}
