package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var portIsolated = row{
	kind: evidence.PortIsolated, verb: "not bridged", policy: always, needs: needPackets | needLinks | needPlan,
	at: map[stage]func(spot, *evidence.Cause) bool{
		bridged: func(p spot, c *evidence.Cause) bool {
			c.Detail = isolatedText(p.in())
			return p.isolates(p.state, p.in(), p.to)
		},
		onLink: func(p spot, c *evidence.Cause) bool { return p.isolatedOnSwitch(p.sentBy(), p.next(), c) },
		// The question for the neighbour is what two isolated ports keep first.
		resolving: func(p spot, c *evidence.Cause) bool {
			if p.unresolved() && p.isolatedOnSwitch(p.askedBy(), p.next(), c) {
				return true
			}
			for _, peer := range p.peers() {
				if p.unresolved() && p.isolates(peer.state, peer.link, p.next()) {
					moves(c, peer.End)
					c.Detail = isolatedText(peer.link)
					return true
				}
			}
			return false
		},
	},
	confirmed: confirmation{otherwise: "the kernel counts no frame that a bridge's flag keeps"},
	lift:      func(c evidence.Cause) Deed { return Unisolate{c.Interface, c.Switch != ""} },
}

func isolatedText(in inspect.Link) string {
	return fmt.Sprintf("port %s is isolated, as is the one it was for", in.Name)
}

// isolates says whether a bridge's port is isolated, and with it the one that an
// address is behind; where that is not known, every other. Of one that is down the kernel does not
// ask that: nothing leaves there, whoever sends it.
func (o Observation) isolates(state *inspect.State, in inspect.Link, to netip.Addr) bool {
	if !in.Isolated {
		return false
	}
	var others, leading []inspect.Link
	for _, l := range state.Links {
		if l.Master != in.Master || l.Index == in.Index {
			continue
		}
		others = append(others, l)
		if o.leads(End{state.Name, l.Name}, to) {
			if !l.Up || !l.Carrier {
				return false
			}
			leading = append(leading, l)
		}
	}
	if len(leading) > 0 {
		others = leading
	}
	return len(others) > 0 && !slices.ContainsFunc(others, func(l inspect.Link) bool { return !l.Isolated })
}

// ahead are the other ports of a bridge than the one where a frame came in, behind which an
// address is.
func (o Observation) ahead(state *inspect.State, in inspect.Link, to netip.Addr) (ports []inspect.Link) {
	for _, l := range state.Links {
		if l.Master == in.Master && l.Index != in.Index && o.leads(End{state.Name, l.Name}, to) {
			ports = append(ports, l)
		}
	}
	return ports
}

// leads says whether an address is at the other end of a link.
func (o Observation) leads(at End, to netip.Addr) bool {
	return slices.ContainsFunc(o.Peers[at], func(peer End) bool { return o.Planned(peer, to) })
}
