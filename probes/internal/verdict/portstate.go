package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var portState = row{
	kind: evidence.PortState, verb: "not bridged", policy: never, needs: needPackets | needLinks | needPlan,
	mend: "wait until the port forwards, or let the bridge run without STP",
	// A port that STP has only just taken forwards after twice the forward delay (15 s each).
	passes: always,
	at: map[stage]func(spot, *evidence.Cause) bool{
		bridged: func(p spot, c *evidence.Cause) bool { return p.heldBack(p.state, p.in(), p.to, c) },
		// The question for the neighbour is what such a port keeps first.
		resolving: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.peers() {
				if p.unresolved() && p.heldBack(peer.state, peer.link, p.next(), c) {
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{otherwise: "the port's own state is read"},
	unliftable: "a port that does not forward yet is no policy",
}

// heldBack says whether a bridge's port, or the other one that an address is behind, is in a state
// in which it hands no frames on.
func (p spot) heldBack(state *inspect.State, in inspect.Link, to netip.Addr, c *evidence.Cause) bool {
	for _, port := range append([]inspect.Link{in}, p.ahead(state, in, to)...) {
		if port.Master != 0 && port.Up && port.Carrier && port.Waits() {
			moves(c, End{state.Name, port.Name})
			c.Detail = fmt.Sprintf("port %s of %s is in state %s", port.Name, state.Link(port.Master).Name, port.STP)
			return true
		}
	}
	return false
}
