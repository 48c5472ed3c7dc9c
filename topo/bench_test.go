package topo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
)

// flat is n hosts on switches of a thousand ports, with a router between them.
func flat(n int) *topo.Network {
	network := topo.New("flat")
	var switches []topo.Attachment
	for i := range n {
		if i%1000 == 0 {
			switches = append(switches, network.Switch(fmt.Sprintf("lan%d", i), fmt.Sprintf("10.%d.0.0/16", i/1000), fmt.Sprintf("fd00:%x::/64", i/1000)))
		}
		network.Host(fmt.Sprintf("h%d", i), switches[i/1000])
	}
	network.Router("r", append(switches, network.Switch("up", "172.16.0.0/24", "fd01::/64"))...)
	return network
}

// star is n hosts, each on a wire of its own to one router. With overlap two
// wires have one prefix, so that no host can have a default route.
func star(n int, overlap bool) *topo.Network {
	network := topo.New("star")
	wires := make([]topo.Attachment, n)
	for i := range n {
		k := i
		if overlap && i == 1 {
			k = 0
		}
		wire := network.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.%d.%d.0/24", k>>8, k&255), fmt.Sprintf("fd00:%x::/64", k))
		network.Host(fmt.Sprintf("h%d", i), wire)
		wires[i] = wire
	}
	network.Router("r", wires...)
	return network
}

// clones is a star whose wires all have the same prefix.
func clones(n int) *topo.Network {
	network := topo.New("clones")
	wires := make([]topo.Attachment, n)
	for i := range n {
		wire := network.Wire(fmt.Sprintf("w%d", i), "10.0.0.0/24", "fd00::/64")
		network.Host(fmt.Sprintf("h%d", i), wire)
		wires[i] = wire
	}
	network.Router("r", wires...)
	return network
}

func bench(b *testing.B, network *topo.Network) {
	b.ReportAllocs()
	for b.Loop() {
		mustPlan(b, network)
	}
}

func BenchmarkPlanSwitch1000(b *testing.B)      { bench(b, flat(1000)) }
func BenchmarkPlanSwitch3000(b *testing.B)      { bench(b, flat(3000)) }
func BenchmarkPlanStar1000(b *testing.B)        { bench(b, star(1000, false)) }
func BenchmarkPlanStar3000(b *testing.B)        { bench(b, star(3000, false)) }
func BenchmarkPlanStarOverlap1000(b *testing.B) { bench(b, star(1000, true)) }
func BenchmarkPlanClones1000(b *testing.B)      { bench(b, clones(1000)) }

// It takes less than a tenth of a second. The bound finds work that grows with a
// power of the nodes, not a busy machine.
func TestPlanOfThreeThousandNodes(t *testing.T) {
	t.Parallel()
	for name, network := range map[string]*topo.Network{"switch": flat(3000), "star": star(3000, false)} {
		start := time.Now()
		plan := mustPlan(t, network)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		for _, i := range []int{0, 2999} {
			if got := len(plan.Nodes[i].Routes); got != 2 {
				t.Errorf("%s: %d routes, not a default route of each family", name, got)
			}
		}
	}
}
