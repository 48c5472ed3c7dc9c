package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var wrongMAC = row{
	kind: evidence.WrongMAC, verb: "lost", policy: never, needs: needPackets | needPlan | needNeighbours,
	mend: "mend the neighbour entry",
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool {
			if p.toItself(c) {
				return true
			}
			for _, peer := range p.receivers() {
				if p.seenForeign(peer.End) {
					moves(c, peer.End)
					c.Detail = "it was addressed to another MAC"
					return true
				}
				if s, _ := p.switchOf(p.sentBy()); s != nil {
					if behind, known := s.Entries[peer.link.MAC]; known && behind != s.wired(peer).End {
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

// toItself says whether the frame had the MAC of the interface that it left by: a switch sends
// nothing back to where it came from. So it is by an entry, and where an interface asks nobody.
func (p spot) toItself(c *evidence.Cause) bool {
	out := p.state.LinkNamed(p.seen.Interface)
	for _, n := range p.state.Neighbours {
		if n.Index != out.Index || n.Addr != p.next() || n.MAC == "" || n.MAC != out.MAC || out.Flags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		if c.Detail = fmt.Sprintf("it was addressed to the MAC of %s/%s itself, which is in the entry for %s", p.seen.Node, out.Name, n.Addr); out.Flags&unix.IFF_NOARP != 0 {
			c.Detail = fmt.Sprintf("it was addressed to the MAC of %s/%s itself, which asks and answers nobody (NOARP)", p.seen.Node, out.Name)
		}
		return true
	}
	return false
}

// seenForeign says whether the leg's packet came in there, addressed to another.
func (p spot) seenForeign(at End) bool {
	return slices.ContainsFunc(p.Timeline, func(s evidence.Sighting) bool {
		return s.Foreign && s.Role == p.leg && s.Node == at.Node && s.Interface == at.Interface
	})
}
