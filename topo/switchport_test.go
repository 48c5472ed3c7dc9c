package topo_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestPortsOfASwitch(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	base := lan.MAC("02:00:00:00:00:01").Static()
	network.Host("known", base.Locked().NoLearning())
	network.Host("guest", lan.Isolated())
	network.Host("behind", lan.NoFlood().Static("02:00:00:00:00:07").Static("02:00:00:00:00:08"))
	network.Host("other", lan.NoLearning().NoFlood().Isolated().Locked())
	network.Host("plain", lan)
	plan := mustPlan(t, network)
	for node, want := range map[string]string{
		"known": "locked, learning off, static 02:00:00:00:00:01", "guest": "isolated",
		"behind": "flood off, static 02:00:00:00:00:07, static 02:00:00:00:00:08", "other": "isolated, locked, learning off, flood off", "plain": "",
	} {
		port := nodeOf(t, plan, node).Ports[0]
		if got := port.Switch.String(); got != want || port.Switch.IsPlain() != (want == "") {
			t.Errorf("%s: %q, not %q", node, got, want)
		}
		if want != "" && !strings.Contains(plan.String(), "lan ["+want+"]") {
			t.Errorf("the plan does not tell of %s:\n%s", node, plan)
		}
	}
}

func TestMistakesAboutPortsOfASwitch(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	wire, lan := network.Wire("wire", "10.0.1.0/24"), network.Switch("lan", "10.0.2.0/24")
	network.Host("a", wire.Isolated())
	network.Host("b", wire.Static("02:00:00:00:00:01"))
	network.Host("c", lan.Static("nonsense"), lan.Static("01:00:00:00:00:01"))
	network.Host("d", lan.MAC("02:00:00:00:00:02").Static().Static("02:00:00:00:00:02"))
	network.Host("e", lan.Static("02:00:00:00:00:02"))
	err := network.Validate()
	for _, want := range []string{
		"node a: segment wire: it is a wire, and something of a switch's port was chosen: make it a switch, or leave that out",
		"node b: segment wire: it is a wire", `node c: segment lan: static entry: MAC "nonsense": write it like`,
		"node c: segment lan: static entry: MAC 01:00:00:00:00:01 is a group's", "node d: segment lan: static entry: MAC 02:00:00:00:00:02 is there twice",
		"node e: segment lan: static entry: MAC 02:00:00:00:00:02 has one at node d's port: a switch has one of each: leave one out",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
}
