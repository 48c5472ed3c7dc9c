package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// Switch is a segment's, which is no node: what its ports do, by the nodes' ends, and the
// ends behind which it has MACs.
type Switch struct {
	Name string
	// Flows is true of an Open vSwitch: what it does is for its flows to say.
	Flows   bool
	Ports   map[End]inspect.BridgePort
	Entries map[string]End
	// Qdiscs are those by which it sends to ends, and Pairs those of what comes from some others.
	Qdiscs map[End][]inspect.Qdisc
	Pairs  map[Pair][]inspect.Qdisc
}

// Pair are two ends of a switch, of which one sends to the other.
type Pair struct{ From, To End }

// queues are the queueing disciplines that what is sent from an end to another passes, and whose that is
// as a message says it, where not all that is sent there passes them.
func (s *Switch) queues(from, to End) (qdiscs []inspect.Qdisc, whose string) {
	if own, is := s.Pairs[Pair{from, to}]; is {
		return own, fmt.Sprintf("for what %s/%s sends it, ", from.Node, from.Interface)
	}
	return s.Qdiscs[to], ""
}

// SwitchAt is the switch that a node's end is at, as far as it was read; nil for none.
func (o Observation) SwitchAt(at End) *Switch {
	for _, s := range o.Switches {
		if _, is := s.Ports[at]; is {
			return s
		}
	}
	return nil
}

func (s *Switch) is(at End) bool { _, is := s.Ports[at]; return is }

// wired is an end of a link that a node's interface sends by: its own, or below it, and the
// tag that its frames have there (IEEE 802.1Q), 0 for none, and the MAC.
type wired struct {
	End
	tag int
	mac string
}

func (s *Switch) wired(to peer) wired { return wiredOf(s.is, to.state, to.link) }

// wiredOf is where an interface of a node sends by: below a VLAN what that is on, and of what
// bonds or bridges the first port that is one.
func wiredOf(is func(End) bool, state *inspect.State, link inspect.Link) wired {
	w := wired{End: End{state.Name, link.Name}, mac: link.MAC}
	for link.Kind == "vlan" && link.PeerNamespace < 0 {
		w.tag, link = link.VLAN, state.Link(link.Peer)
		w.Interface = link.Name
	}
	for _, port := range state.Links {
		if end := (End{state.Name, port.Name}); !is(w.End) && link.Index != 0 && port.Master == link.Index && is(end) {
			w.End = end
		}
	}
	return w
}

// switchOf is the switch that an end of the spot's node is at, itself or below, and where; nil
// for none. What left by the end below another, as by a bond, may have got a tag there.
func (p spot) switchOf(at End) (*Switch, wired) {
	is := func(end End) bool { return p.SwitchAt(end) != nil }
	own := wiredOf(is, p.state, p.state.LinkNamed(at.Interface))
	if upper := wiredOf(is, p.state, p.link()); upper.End == own.End {
		own = upper
	}
	return p.SwitchAt(own.End), own
}

// sentBy is the end by which a frame left, and askedBy that by which the next one was asked
// for.
func (p spot) sentBy() End  { return End{p.seen.Node, p.seen.Interface} }
func (p spot) askedBy() End { return End{p.state.Name, p.link().Name} }

// isolatedOnSwitch says whether a switch hands nothing on from an end to the one that has
// an address; where that is not known, to any.
func (p spot) isolatedOnSwitch(at End, to netip.Addr, c *evidence.Cause) bool {
	s, own := p.switchOf(at)
	if s == nil || !s.Ports[own.End].Isolated {
		return false
	}
	var others, leading []inspect.BridgePort
	for _, end := range p.Peers[own.End] {
		if port, is := s.Ports[end]; is {
			others = append(others, port)
		}
	}
	for _, peer := range p.peersOf(at, own.End) {
		if port, is := s.Ports[s.wired(peer).End]; is && p.has(peer, to) {
			if !peer.link.Up { // its port of the switch is down with it
				return false
			}
			leading = append(leading, port)
		}
	}
	if len(leading) > 0 {
		others = leading
	}
	for _, port := range others {
		if !port.Isolated {
			return false
		}
	}
	c.Interface, c.Switch = own.Interface, s.Name
	c.Detail = fmt.Sprintf("its port of switch %s is isolated, as is the one it was for", s.Name)
	return len(others) > 0
}

// keeps says whether a locked port of a switch keeps all that an end sends: it has no entry
// for its MAC. What a bridge sends there has others' MACs.
func (s *Switch) keeps(from wired, state *inspect.State) bool {
	link := state.LinkNamed(from.Interface)
	behind, known := s.Entries[from.mac]
	return s.Ports[from.End].Locked && (!known || behind != from.End) && state.Link(link.Master).Kind != "bridge"
}

// misses says whether a switch sends nothing to an end that is for its MAC: it has no entry
// for it, and does not flood there.
func (s *Switch) misses(to wired, state *inspect.State) bool {
	link := state.LinkNamed(to.Interface)
	_, known := s.Entries[to.mac]
	return s.Ports[to.End].NoFlood && !known && state.Link(link.Master).Kind != "bridge"
}

// unheard is why the answer to the question for a neighbour does not come over a switch; ""
// where that would not keep it.
func (p spot) unheard() string {
	s, own := p.switchOf(p.askedBy())
	if s == nil {
		return ""
	}
	for _, peer := range p.peersOf(p.askedBy(), own.End) {
		if to := s.wired(peer); s.is(to.End) && p.has(peer, p.next()) && s.keeps(to, peer.state) {
			return fmt.Sprintf("; port %s of switch %s is locked, and keeps its answers", peer.Node, s.Name)
		}
	}
	if s.misses(own, p.state) {
		return fmt.Sprintf("; port %s of switch %s has flooding off, and no entry for the MAC that answers go to", own.Node, s.Name)
	}
	return ""
}
