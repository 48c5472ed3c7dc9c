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
	Name    string
	Ports   map[End]inspect.BridgePort
	Entries map[string]End
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

// sentBy is the end by which a frame left, and askedBy that by which the next one was asked
// for.
func (p spot) sentBy() End  { return End{p.seen.Node, p.seen.Interface} }
func (p spot) askedBy() End { return End{p.state.Name, p.link().Name} }

// isolatedOnSwitch says whether a switch hands nothing on from an end to the one that has
// an address; where that is not known, to any.
func (p spot) isolatedOnSwitch(at End, to netip.Addr, c *evidence.Cause) bool {
	s := p.SwitchAt(at)
	if s == nil || !s.Ports[at].Isolated {
		return false
	}
	var others, leading []inspect.BridgePort
	for _, end := range p.Peers[at] {
		if port, is := s.Ports[end]; is {
			others = append(others, port)
		}
	}
	for _, peer := range p.peersOf(at) {
		if port, is := s.Ports[peer.End]; is && p.has(peer, to) {
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
	c.Interface, c.Switch = at.Interface, s.Name
	c.Detail = fmt.Sprintf("its port of switch %s is isolated, as is the one it was for", s.Name)
	return len(others) > 0
}

// keeps says whether a locked port of a switch keeps all that an end sends: it has no entry
// for its MAC. What a bridge sends there has others' MACs.
func (s *Switch) keeps(at End, state *inspect.State) bool {
	link := state.LinkNamed(at.Interface)
	behind, known := s.Entries[link.MAC]
	return s.Ports[at].Locked && (!known || behind != at) && state.Link(link.Master).Kind != "bridge"
}

// misses says whether a switch sends nothing to an end that is for its MAC: it has no entry
// for it, and does not flood there.
func (s *Switch) misses(at End, state *inspect.State) bool {
	link := state.LinkNamed(at.Interface)
	_, known := s.Entries[link.MAC]
	return s.Ports[at].NoFlood && !known && state.Link(link.Master).Kind != "bridge"
}

// unheard is why the answer to the question for a neighbour does not come over a switch; ""
// where that would not keep it.
func (p spot) unheard() string {
	own := p.askedBy()
	s := p.SwitchAt(own)
	if s == nil {
		return ""
	}
	for _, peer := range p.peersOf(own) {
		if _, on := s.Ports[peer.End]; on && p.has(peer, p.next()) && s.keeps(peer.End, peer.state) {
			return fmt.Sprintf("; port %s of switch %s is locked, and keeps its answers", peer.Node, s.Name)
		}
	}
	if s.misses(own, p.state) {
		return fmt.Sprintf("; port %s of switch %s has flooding off, and no entry for the MAC that answers go to", own.Node, s.Name)
	}
	return ""
}
