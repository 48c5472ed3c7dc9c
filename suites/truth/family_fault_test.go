package truth_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// faults are what links do to packets. What comes later comes soon enough for plain sockets, which wait
// for nothing that waits in a queue.
var faults = family{"fault", []row{
	{name: "slow queue", weight: 2, add: func(g *generator) {
		g.impair(topo.Impairment{Rate: pick(g.r, 500*topo.Kbit, topo.Mbit, 10*topo.Mbit)})
	}},
	{name: "delay", add: func(g *generator) { g.impair(topo.Impairment{Delay: 4 * time.Millisecond}) }},
	{name: "each packet twice", add: func(g *generator) { g.impair(topo.Impairment{Duplicate: 1}) }},
	{name: "packets that overtake", add: func(g *generator) {
		g.impair(topo.Impairment{Delay: 3 * time.Millisecond, Reorder: 0.5})
	}},
	{name: "all is lost", add: func(g *generator) {
		if p := g.impair(topo.Impairment{Loss: 1}); p != nil {
			p.mistake = true
		}
	}},
}}

// impair has something happen to what a node sends by one of its ports; nil where it can have none.
func (g *generator) impair(i topo.Impairment) *part {
	at := pick(g.r, g.nodes...).name
	device := g.port(at)
	if device == "lo" || strings.HasPrefix(g.madeOf(device), "OVS") {
		return nil
	}
	p := g.does(at, fmt.Sprintf("lab.Node(%q).Port(%q).Impair(...) // %s", at, device, i), func(s *scope, node *harness.Node) error {
		if i.Netem() {
			harness.Require(s, harness.Netem)
		}
		return node.Port(device).Impair(i)
	})
	p.slow = 30 * time.Millisecond
	return p
}

// madeOf is the fabric of a segment; "" for none.
func (g *generator) madeOf(name string) string {
	for _, s := range g.segments {
		if s.name == name {
			return s.made
		}
	}
	return ""
}
