package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var ttl = row{
	kind: evidence.TTL, verb: "dropped", policy: never, needs: needPackets,
	mend:       "raise the TTL, take away what lowers it, or mend the routes if packets go round",
	at:         map[stage]func(spot, *evidence.Cause) bool{handed: expires},
	confirmed:  confirmation{counters: []string{"Ip.InHdrErrors", "Ip6.InHdrErrors"}},
	unliftable: "the probe's own TTL is no policy",
}

// expires says whether the packet had no hop left where it was to be handed on: as it came
// in, or as the node itself says, whose rules may have lowered it after that.
func expires(p spot, c *evidence.Cause) bool {
	said := p.said(func(s evidence.Sighting) bool { return s.Expired })
	if p.seen.TTL != 1 && !said {
		return false
	}
	c.Detail = "TTL expired"
	switch node, from, to := p.lowered(); {
	case p.seen.TTL > 1:
		c.Detail = fmt.Sprintf("TTL expired: it came in with %d, which a rule there lowered", p.seen.TTL)
	case node != "":
		c.Detail = fmt.Sprintf("TTL expired: %s had it with %d, and sent it on with %d", node, from, to)
	}
	return true
}

// lowered is the node at which the packet lost more than the one hop that each router takes,
// and how many it had before and after; "" for none.
func (p spot) lowered() (node string, from, to int) {
	came := map[string]int{}
	for _, s := range p.Timeline {
		switch {
		case s.Role != p.leg || s.Foreign:
		case s.Direction == evidence.In:
			came[s.Node] = s.TTL
		case s.Direction == evidence.Out && came[s.Node] > s.TTL+1:
			node, from, to = s.Node, came[s.Node], s.TTL
		}
	}
	return node, from, to
}
