package account

import (
	"slices"
	"testing"
)

// A packet's stops are the nodes of its way, and what a rule's hook tells is told of one packet.
func TestStopsAreTheNodesOfTheWay(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(seed uint64, _ *world, a Account) {
		detailed, told := a.Detailed(), map[int]int{}
		if got, want := detailed.ends(), a.ends(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: with stops they end %q, without %q", seed, got, want)
		}
		for i, p := range detailed.Packets {
			var way, stops []string
			for _, place := range p.Way {
				way = append(way, place.Node)
			}
			for _, s := range p.Stops {
				stops = append(stops, s.Node)
				for _, r := range s.Records {
					if other, twice := told[r]; twice {
						t.Errorf("seed %d: record %d is of packets %d and %d", seed, r, other, i)
					}
					told[r] = i
					if r < 0 || a.in.Records[r].Node != s.Node || a.in.Records[r].Role != p.Role {
						t.Errorf("seed %d: record %d is not of a %s at %s", seed, r, p.Role, s.Node)
					}
				}
			}
			way, stops = slices.Compact(way), slices.Compact(stops)
			if !p.Copy && !slices.Equal(way, stops) {
				t.Errorf("seed %d: %s\nstops %q, way %q", seed, p, stops, way)
			}
		}
		own, _ := detailed.Sent(Request)
		if slices.ContainsFunc(own, func(p Packet) bool { return p.Copy }) {
			t.Errorf("seed %d: a copy is none of the packets that were sent", seed)
		}
	})
}
