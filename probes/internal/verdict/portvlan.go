package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var portVLAN = row{
	kind: evidence.PortVLAN, verb: "not bridged", policy: always, needs: needPackets | needLinks | needPlan,
	at: map[stage]func(spot, *evidence.Cause) bool{
		bridged: func(p spot, c *evidence.Cause) bool { return p.keptAtBridge(p.state, p.in(), p.to, c) },
		onLink:  func(p spot, c *evidence.Cause) bool { return p.keptApart(p.sentBy(), c) },
		// The question for the neighbour is what two VLANs keep first.
		resolving: func(p spot, c *evidence.Cause) bool {
			if !p.unresolved() {
				return false
			}
			if p.keptApart(p.askedBy(), c) {
				return true
			}
			for _, peer := range p.peers() {
				if p.keptAtBridge(peer.state, peer.link, p.next(), c) {
					moves(c, peer.End)
					return true
				}
			}
			return false
		},
	},
	confirmed: confirmation{otherwise: "the kernel counts no frame that a bridge's VLAN filter keeps (skb_drop_reason VLAN_FILTER aside)"},
	lift:      func(c evidence.Cause) Deed { return JoinVLAN{c.Interface, c.VLAN, c.Tagged, c.Switch != ""} },
}

// inVLAN is an end of a link at a port of a bridge that keeps VLANs apart: the tag that its
// frames have there, 0 for none, and the port's VLANs.
type inVLAN struct {
	End
	tag  int
	port *inspect.BridgeVLANs
}

// vlan is the VLAN in which a frame from there is, 0 where it is dropped.
func (e inVLAN) vlan() int {
	switch {
	case e.tag == 0:
		return e.port.PVID
	case e.port.Carries(e.tag):
		return e.tag
	}
	return 0
}

// takes says whether frames of a VLAN come out there as the end expects them.
func (e inVLAN) takes(vlan int) bool {
	if e.tag == 0 {
		return slices.Contains(e.port.Untagged, vlan)
	}
	return e.tag == vlan && slices.Contains(e.port.Tagged, vlan)
}

// wants is the VLAN of which the end expects frames; 0 for none.
func (e inVLAN) wants() int {
	if e.tag == 0 && len(e.port.Untagged) > 0 {
		return e.port.Untagged[0]
	}
	return e.tag
}

func (e inVLAN) String() string {
	switch {
	case e.tag == 0 && e.port.PVID == 0:
		return fmt.Sprintf("port %s takes nothing without a tag", e.Node)
	case e.tag == 0:
		return fmt.Sprintf("port %s is in VLAN %d", e.Node, e.port.PVID)
	case !e.port.Carries(e.tag):
		return fmt.Sprintf("port %s does not carry VLAN %d, whose tag %s gives", e.Node, e.tag, e.Node)
	case !slices.Contains(e.port.Tagged, e.tag):
		return fmt.Sprintf("port %s is in VLAN %d without a tag, which %s gives", e.Node, e.tag, e.Node)
	}
	return fmt.Sprintf("port %s carries VLAN %d with a tag", e.Node, e.tag)
}

// keptApart says whether a switch keeps what an end sends from the one that is to get it, or
// takes none of it.
func (p spot) keptApart(at End, c *evidence.Cause) bool {
	s, own := p.switchOf(at)
	if s == nil || s.Ports[own.End].VLANs == nil || s.Flows && !p.normally(own.End) {
		return false
	}
	from := inVLAN{own.End, own.tag, s.Ports[own.End].VLANs}
	to := p.inVLANs(s, at, own.End)
	for _, end := range to {
		if vlan := from.vlan(); vlan != 0 && end.takes(vlan) {
			return false
		}
	}
	c.Switch, c.Interface = s.Name, own.Interface
	switch {
	case len(to) > 0:
		c.Detail = fmt.Sprintf("the VLAN filter of switch %s: %s, %s", s.Name, from, to[0])
		moves(c, from.joins(to[0], c))
	case from.vlan() == 0:
		c.Detail = fmt.Sprintf("the VLAN filter of switch %s: %s", s.Name, from)
		c.VLAN, c.Tagged = own.tag, own.tag != 0
	}
	return len(to) > 0 || from.vlan() == 0
}

// normally says whether an Open vSwitch was seen to hand on what left at an end as a switch does,
// and whatever else may be sent like it: else its flows may pass VLANs.
func (p spot) normally(at End) bool {
	f := p.Heard.Flowed
	return f.Normal && f.Doubt == "" && f.Leg == p.leg && f.At == at
}

// joins is the port that would have to be in another VLAN for the two to hear each other,
// and in which.
func (e inVLAN) joins(other inVLAN, c *evidence.Cause) End {
	switch vlan := e.vlan(); {
	case e.tag == 0 && other.wants() != 0 && other.takes(other.wants()):
		c.VLAN = other.wants()
		return e.End
	case vlan == 0:
		c.VLAN, c.Tagged = e.tag, e.tag != 0
		return e.End
	case other.tag == 0 || other.tag == vlan:
		c.VLAN, c.Tagged = vlan, other.tag != 0
		return other.End
	}
	return e.End
}

// inVLANs are the ends at the ports of a switch that are to get what is sent there: those that
// have the next one's address, and are up.
func (p spot) inVLANs(s *Switch, from ...End) (to []inVLAN) {
	for _, peer := range p.peersOf(from...) {
		port := s.wired(peer)
		if on := s.Ports[port.End].VLANs; on != nil && p.has(peer, p.next()) && peer.link.Up {
			to = append(to, inVLAN{port.End, port.tag, on})
		}
	}
	return to
}

// keptAtBridge says whether a node's own bridge keeps a frame without a tag that came in at a
// port, by its VLANs: there is none for it, or the port that the address is behind does not
// have it. What has a tag is not known.
func (o Observation) keptAtBridge(state *inspect.State, in inspect.Link, to netip.Addr, c *evidence.Cause) bool {
	if in.VLANs == nil || o.mayTag(End{state.Name, in.Name}) {
		return false
	}
	c.VLAN, c.Detail = 0, fmt.Sprintf("the VLAN filter of %s: port %s takes nothing without a tag", state.Link(in.Master).Name, in.Name)
	apart := in.VLANs.PVID == 0
	for _, out := range o.ahead(state, in, to) {
		switch {
		case out.VLANs == nil:
		case slices.Contains(out.VLANs.Untagged, in.VLANs.PVID):
			return false
		default:
			if in.VLANs.PVID != 0 {
				c.Detail = fmt.Sprintf("the VLAN filter of %s: port %s is in VLAN %d, and port %s in VLAN %d", state.Link(in.Master).Name, in.Name, in.VLANs.PVID, out.Name, out.VLANs.PVID)
			}
			c.VLAN, apart = out.VLANs.PVID, true
		}
	}
	return apart
}

// mayTag says whether an end of a link may get frames with tags: the other one has a VLAN on it.
func (o Observation) mayTag(at End) bool {
	return slices.ContainsFunc(o.peersOf(at), func(peer peer) bool {
		return slices.ContainsFunc(peer.state.Links, func(l inspect.Link) bool { return l.Kind == "vlan" && l.Peer == peer.link.Index })
	})
}
