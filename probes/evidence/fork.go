package evidence

import (
	"slices"
	"time"
)

// forkBound is how long after each other the kernel sends copies of one packet; a
// connection's request is repeated after a second.
const forkBound = 100 * time.Millisecond

// forked is where a node sent a packet on twice, as rules that mirror do: then the
// end of one copy says nothing of the other. What a bridge floods does not count,
// nor what leaves by an interface above another.
func (o Observation) forked(role Role) (Sighting, bool) {
	var out []Sighting
	for _, s := range o.Timeline {
		if s.Role != role || s.Direction != Out || s.bridged || !o.planned(End{s.Node, s.Interface}) {
			continue
		}
		for _, before := range out {
			if before.Node == s.Node && before.TTL == s.TTL && s.At.Sub(before.At) < forkBound {
				return s, true
			}
		}
		out = append(out, s)
	}
	return Sighting{}, false
}

func (o Observation) planned(end End) bool {
	return slices.ContainsFunc(o.Ports[end.Node], func(p PortState) bool { return p.End == end })
}
