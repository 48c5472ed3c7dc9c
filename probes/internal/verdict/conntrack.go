package verdict

import "github.com/nstest/nstest/probes/evidence"

// Tracking is why a node's connection tracking was seen to drop such a packet.
type Tracking struct{ Node, Why string }

var conntrack = row{
	kind: evidence.Conntrack, verb: "dropped", policy: never, needs: needPackets,
	mend: "give each connection addresses and ports of its own, or the table room (net.netfilter.nf_conntrack_max)",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unsent: spot.untracked, entered: spot.untracked,
	},
	confirmed:  confirmation{otherwise: "the namespace's own counts of connection tracking move (insert_failed, drop)"},
	unliftable: "what connection tracking has no room for is no policy",
}

// untracked says whether connection tracking was seen to drop such a packet at the node.
func (p spot) untracked(c *evidence.Cause) bool {
	c.Interface, c.Detail = "", "connection tracking cannot take it: "+p.Heard.Tracking.Why
	return p.Heard.Tracking.Node == p.state.Name
}
