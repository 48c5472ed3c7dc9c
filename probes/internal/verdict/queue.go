package verdict

import (
	"fmt"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var queue = row{
	kind: evidence.Queue, verb: "dropped", policy: never, needs: needPackets | needLookups | needLinks,
	mend: "take the queueing discipline away (tc qdisc del), or give it room",
	at: map[stage]func(spot, *evidence.Cause) bool{
		leaving: func(p spot, c *evidence.Cause) bool {
			at := p.Heard.Queue
			c.Interface = at.Interface
			return at.Node == p.state.Name && (at.Interface == "" || at.Interface == p.link().Name) && p.full(c, p.state.QdiscsOf(p.link().Index))
		},
		onLink: fullOnSwitch,
	},
	confirmed:  confirmation{otherwise: "the queue's own count of drops moves"},
	unliftable: "what a queue has no room for is no policy",
}

// full says whether what an interface's queue was seen to drop is for want of room, and not by
// chance.
func (p spot) full(c *evidence.Cause, qdiscs []inspect.Qdisc) bool {
	c.Detail = "its queueing discipline (tc) drops what is to leave there"
	for _, q := range qdiscs {
		if p.Heard.QueueKind == "" || q.Kind != p.Heard.QueueKind {
			continue
		}
		if q.Loss > 0 {
			return false
		}
		c.Detail = fmt.Sprintf("the queue of %s is full (%d dropped so far), which drops what is to leave there", q, q.Drops)
	}
	return true
}

// fullOnSwitch is at a switch's end by which a frame is sent to who it is for.
func fullOnSwitch(p spot, c *evidence.Cause) bool {
	s, own := p.switchOf(p.sentBy())
	if s == nil || p.Heard.Queue == (End{}) {
		return false
	}
	for _, peer := range p.receivers() {
		end := s.wired(peer).End
		qdiscs, whose := s.queues(own.End, end)
		doubted := p.Heard.Queue == End{Node: p.seen.Node} && len(qdiscs) > 0
		moves(c, end)
		c.Switch = s.Name
		if (doubted || p.Heard.Queue == end) && p.full(c, qdiscs) {
			c.Detail = whose + c.Detail
			return true
		}
	}
	return false
}
