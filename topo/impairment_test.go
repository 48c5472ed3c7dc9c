package topo_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
)

func TestImpairments(t *testing.T) {
	t.Parallel()
	slow, lossy := topo.Impairment{Delay: 20 * time.Millisecond, Jitter: time.Millisecond}, topo.Impairment{Loss: 0.01, Rate: 100 * topo.Mbit}
	network := topo.New("office")
	lan, wan := network.Switch("lan", "10.0.1.0/24").Impair(slow), network.Wire("wan", "10.0.9.0/24")
	network.Host("plain", lan)
	network.Host("own", lan.At().Impair(lossy))
	network.Host("none", lan.At().Impair(topo.Impairment{}).ImpairReceived(lossy))
	network.Host("site", wan)
	network.Router("fw", lan, wan.At().ImpairReceived(lossy))
	for name, plan := range map[string]*topo.Plan{"declared": mustPlan(t, network), "copied": mustPlan(t, network.Copy(nil))} {
		for _, want := range []struct {
			node            string
			sends, receives topo.Impairment
		}{{"plain", slow, topo.Impairment{}}, {"own", lossy, topo.Impairment{}}, {"none", topo.Impairment{}, lossy}, {"fw", slow, topo.Impairment{}}, {"site", lossy, topo.Impairment{}}} {
			if port := nodeOf(t, plan, want.node).Ports[0]; port.Sends != want.sends || port.Receives != want.receives {
				t.Errorf("%s: %s sends %s, receives %s", name, want.node, port.Sends, port.Receives)
			}
		}
		if port := nodeOf(t, plan, "fw").Ports[1]; !port.Sends.IsZero() || !port.Receives.IsZero() {
			t.Errorf("%s: the other way of a wire: %v", name, port)
		}
		for _, want := range []string{"lan [sends: delay 20ms, jitter 1ms]", "wan [sends: loss 1 %, rate 100 Mbit/s]", "lan [receives: loss 1 %, rate 100 Mbit/s]"} {
			if !strings.Contains(plan.String(), want) {
				t.Errorf("%s: the plan does not tell %q:\n%s", name, want, plan)
			}
		}
	}
}

func TestMistakesAboutImpairments(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, wire := network.Switch("lan", "10.0.1.0/24").Impair(topo.Impairment{Loss: 1.5}), network.Wire("wire", "10.0.2.0/24")
	over := network.VLAN("over", lan, 7, "10.0.3.0/24")
	network.Host("a", lan.At().Impair(topo.Impairment{Delay: -1, Duplicate: math.NaN(), Corrupt: -0.1}))
	network.Host("b", lan.At().Impair(topo.Impairment{Jitter: time.Second, Reorder: 0.5}), over.At().ImpairReceived(topo.Impairment{Loss: 1}))
	network.Host("c", lan.At().ImpairReceived(topo.Impairment{Rate: 100, Limit: -1}), wire.At().ImpairReceived(topo.Impairment{Loss: 1}))
	network.Host("d", lan.At().Impair(topo.Impairment{Loss: 0.5, Limit: 7}), wire.At().Impair(topo.Impairment{Loss: 0.5}))
	err := network.Validate()
	for _, want := range []string{
		"segment lan: impairment: loss 1.5: it is a part of one, between 0 and 1: every hundredth packet is 0.01",
		"node a: segment lan: impairment: delay -1ns: it is between 0 and 1h0m0s", "node a: segment lan: impairment: duplicate NaN:", "node a: segment lan: impairment: corrupt -0.1:",
		"node b: segment lan: impairment: jitter 1s: it is between 0 and the delay, 0s: nothing comes before it was sent",
		"node b: segment lan: impairment: reorder 50 %: what is not delayed overtakes what is, and nothing is: give a delay",
		"node b: segment over: what comes there passes no end of its own: choose what happens to it where it is sent",
		"node c: segment lan: impairment: rate 100: it is in bits a second, and at least 1 kbit/s: write 100 * topo.Mbit",
		"node c: segment lan: impairment: limit -1: it is how many packets wait", "node d: segment lan: impairment: limit 7: no packet waits without a delay or a rate",
		"node c: segment wire: what comes there is what node d sends, of which something was chosen as well: leave one out",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
}

func TestBitRates(t *testing.T) {
	t.Parallel()
	for rate, want := range map[topo.BitRate]string{100 * topo.Mbit: "100 Mbit/s", topo.Gbit + 500*topo.Mbit: "1.5 Gbit/s", 64 * topo.Kbit: "64 kbit/s", 9: "9 bit/s"} {
		if rate.String() != want {
			t.Errorf("%d: %s, not %s", rate, rate, want)
		}
	}
}
