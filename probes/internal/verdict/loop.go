package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
)

var loop = row{
	kind: evidence.Loop, verb: "sent back", policy: never, needs: needPackets,
	mend:       "mend the route that leads back",
	at:         map[stage]func(spot, *evidence.Cause) bool{entered: leadsBack},
	confirmed:  confirmation{otherwise: "the packet was seen to come back, with a lower TTL"},
	unliftable: "a route that leads back is a mistake",
}

// leadsBack says whether the packet was at a node twice: who handed it on in between
// has a route that leads back. What is sent again has the TTL that it had before.
func leadsBack(p spot, c *evidence.Cause) bool {
	var way evidence.Timeline
	for _, s := range p.Timeline {
		if s.Role == p.leg && !s.Foreign && !s.ByRule() && s.Destination == p.to {
			way = append(way, s)
		}
	}
	for i, s := range way {
		was := func(o evidence.Sighting) bool { return o.Node == s.Node && o.TTL > s.TTL }
		if s.Direction != evidence.In || s.TTL == 0 || !slices.ContainsFunc(way[:i], was) {
			continue
		}
		for _, from := range slices.Backward(way[:i]) {
			if from.Node != s.Node && from.Direction == evidence.Out && from.TTL == s.TTL {
				moves(c, End{from.Node, from.Interface})
				c.Detail = fmt.Sprintf("its route to %s leads back to %s, where the packet came from", p.to, s.Node)
				return true
			}
		}
	}
	return false
}
