package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var parted = row{
	kind: evidence.Parted, verb: "lost", policy: never, needs: needPackets | needPlan | needLookups,
	mend: "heal the lab (Lab.Heal): a cut is a fault, and isolates nobody",
	at: map[stage]func(spot, *evidence.Cause) bool{
		bridged: func(p spot, c *evidence.Cause) bool {
			for _, l := range p.ahead(p.state, p.in(), p.to) {
				c.Interface = l.Name
				at := End{p.state.Name, l.Name}
				if p.cutOff(c, at, p.peersOf(at)) {
					return true
				}
			}
			return false
		},
		leaving: func(p spot, c *evidence.Cause) bool {
			c.Interface = p.link().Name
			return p.cutOff(c, p.askedBy(), p.owners())
		},
		onLink: func(p spot, c *evidence.Cause) bool { return p.cutOff(c, p.sentBy(), p.receivers()) },
	},
	confirmed:  confirmation{otherwise: "the lab's own groups are read, and a second try ends there as well"},
	unliftable: "a cut of the lab is no policy",
}

// owners are the other ends that have the address of whom the packet was to be handed to.
func (p spot) owners() (owners []peer) {
	for _, peer := range p.peers() {
		if p.has(peer, p.next()) {
			owners = append(owners, peer)
		}
	}
	return owners
}

// cutOff says whether all that a packet was for are in other groups than who sent it.
func (p spot) cutOff(c *evidence.Cause, from End, to []peer) bool {
	own, is := p.Parted[from.Node]
	for _, peer := range to {
		if group, also := p.Parted[peer.Node]; !is || !also || group == own {
			return false
		}
	}
	if len(to) == 0 {
		return false
	}
	c.Detail = fmt.Sprintf("the lab is cut between %s and %s (Lab.Partition)", from.Node, to[0].Node)
	return true
}
