package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var notAllowed = row{
	kind: evidence.NotAllowed, verb: "not taken", policy: never, needs: needPackets | needLinks | needPlan,
	mend:       "give the node that is to send it a route by that peer in the declaration, from which what the peer is allowed comes (wg: AllowedIPs)",
	at:         map[stage]func(spot, *evidence.Cause) bool{onLink: isNotAllowed},
	confirmed:  confirmation{otherwise: "the kernel's own list of what is allowed is read, and the packet was seen to be handed to WireGuard and nowhere else"},
	unliftable: "what a peer is allowed is told with its key, and is no rule",
}

// isNotAllowed is for a packet that a node handed to WireGuard: no peer is allowed its destination
// (ENOKEY), or the one that got it may not send from its source, where it is counted as an error
// (rx_errors, rx_frame_errors).
func isNotAllowed(p spot, c *evidence.Cause) bool {
	own, is := p.encrypts()
	if !is {
		return false
	}
	to, allowed := own.Peer(p.to)
	if !allowed {
		c.Detail = fmt.Sprintf("no peer of %s is allowed %s", p.in().Name, p.to)
		return true
	}
	at, theirs, found := p.holder(to.Key)
	if sender, _ := theirs.Peer(p.seen.Source); !found || sender.Key == own.Key {
		return false
	}
	moves(c, at.End)
	c.Detail = fmt.Sprintf("peer %s is not allowed to send from %s; %s has counted %d errors", p.seen.Node, p.seen.Source, at.link.Name, at.link.Counters.Received.Errors)
	return true
}
