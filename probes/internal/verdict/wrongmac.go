package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
)

var wrongMAC = row{
	kind: evidence.WrongMAC, verb: "lost", policy: never, needs: needPackets | needPlan,
	mend: "mend the neighbour entry",
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.receivers() {
				if p.seenForeign(peer.End) {
					moves(c, peer.End)
					c.Detail = "it was addressed to another MAC"
					return true
				}
				if s := p.SwitchAt(p.sentBy()); s != nil {
					if behind, known := s.Entries[peer.link.MAC]; known && behind != peer.End {
						moves(c, peer.End)
						c.Detail = fmt.Sprintf("switch %s has an entry by which the MAC is behind port %s", s.Name, behind.Node)
						return true
					}
				}
			}
			return false
		},
	},
	confirmed:  confirmation{otherwise: "the frame was seen to come in, addressed to another"},
	unliftable: "a wrong MAC is no policy",
}

// seenForeign says whether the leg's packet came in there, addressed to another.
func (p spot) seenForeign(at End) bool {
	return slices.ContainsFunc(p.Timeline, func(s evidence.Sighting) bool {
		return s.Foreign && s.Role == p.leg && s.Node == at.Node && s.Interface == at.Interface
	})
}
