package verdict

import "github.com/nstest/nstest/probes/evidence"

var queue = row{
	kind: evidence.Queue, verb: "dropped", policy: never, needs: needPackets | needLookups | needLinks,
	mend: "take the queueing discipline away (tc qdisc del), or give it room",
	at: map[stage]func(spot, *evidence.Cause) bool{
		leaving: func(p spot, c *evidence.Cause) bool {
			at := p.Heard.Queue
			c.Interface, c.Detail = at.Interface, "its queueing discipline (tc) drops what is to leave there"
			return at.Node == p.state.Name && (at.Interface == "" || at.Interface == p.link().Name)
		},
	},
	confirmed:  confirmation{otherwise: "the queue's own count of drops moves"},
	unliftable: "what a queue has no room for is no policy",
}
