package verdict

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// spot is where a packet was last known to be, and what is known there.
type spot struct {
	Observation
	// seen is its sighting there; the zero Sighting of what a node was to send.
	seen  evidence.Sighting
	leg   evidence.Role
	state *inspect.State
	// to is where it was to go, by the answer to what was asked for its route; length is
	// its own in bytes, where it came in, and else 0.
	to     netip.Addr
	asked  inspect.Question
	way    inspect.Lookup
	length int
}

// in is the interface where the packet came in.
func (p spot) in() inspect.Link { return p.state.Link(p.seen.Index) }

// link is the interface that the packet was to leave by, and next whom it was to be
// handed to there.
func (p spot) link() inspect.Link { return p.state.Link(p.way.Out) }

func (p spot) next() netip.Addr { return p.way.Next(p.to) }

// peers are the other ends of the link that the packet was to leave by, with what is
// known of them.
func (p spot) peers() []peer { return p.peersOf(End{p.state.Name, p.link().Name}) }

// peer is another end of a link whose node's state was read.
type peer struct {
	End
	state *inspect.State
	link  inspect.Link
}

// peersOf are the other ends of a link, or of those that an interface and what it is on are at.
func (o Observation) peersOf(at ...End) (peers []peer) {
	seen := map[End]bool{}
	for _, own := range at {
		for _, end := range o.Peers[own] {
			if state := o.States[end.Node]; state != nil && !seen[end] {
				seen[end] = true
				peers = append(peers, peer{end, state, state.LinkNamed(end.Interface)})
			}
		}
	}
	return peers
}

// moves says that it is not where the packet was last seen that it ends.
func moves(c *evidence.Cause, to End) {
	c.Node, c.Interface, c.Router = to.Node, to.Interface, false
}

// Planned says whether a planned port has an address.
func (o Observation) Planned(at End, addr netip.Addr) bool {
	return slices.ContainsFunc(o.Ports[at.Node], func(port PortState) bool {
		_, has := port.address(addr)
		return has && port.End == at
	})
}
