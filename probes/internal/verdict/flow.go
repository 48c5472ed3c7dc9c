package verdict

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Flowed is what an Open vSwitch was seen to do with a packet like the probe's, that left at an
// end of its: a flow ended it there. The zero Flowed is nothing.
type Flowed struct {
	At     End
	Leg    evidence.Role
	Switch string
	Flow   evidence.Flow
	// Doubt says why another packet of the asker's choice may pass; "" for nothing.
	Doubt string
	// Normal is true where it handed the packet on as a switch does, and so not to where it was
	// to go.
	Normal bool
	// Handed are the ports to which a flow hands it instead; "" where it drops it.
	Handed string
}

var flow = row{
	kind: evidence.FlowDrop, verb: "dropped", policy: always, needs: needPackets | needLinks | needPlan,
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool {
			f := p.Heard.Flowed
			if f.Switch == "" || f.Normal || f.Leg != p.leg || f.At.Node != p.seen.Node {
				return false
			}
			c.Interface, c.Switch, c.Flow = f.At.Interface, f.Switch, &f.Flow
			c.Detail = fmt.Sprintf("flow %q of switch %s", f.Flow, f.Switch)
			if f.Flow.Missed {
				c.Detail = fmt.Sprintf("%s of switch %s is for it", f.Flow, f.Switch)
			}
			switch {
			case f.Handed != "": // what who is there does with it, no switch says
				c.Kind, c.Flow = evidence.Unknown, nil
				c.Detail += fmt.Sprintf(" hands it to port %s, and not to who it was for: a program there may hand it on", f.Handed)
			case f.Doubt != "":
				c.Kind, c.Flow = evidence.Unknown, nil
				c.Detail += " drops it, but " + f.Doubt
			}
			return true
		},
	},
	confirmed: confirmation{otherwise: "ofproto/trace of the packet names the flow, and the flow's own count moves with a second one"},
	lift:      func(c evidence.Cause) Deed { return DeleteFlow{c.Switch, c.Flow} },
}

// Crossing is a packet that was last seen to leave for a switch.
type Crossing struct {
	Seen evidence.Sighting
	// At is the end by which it left, and Tag the tag that it had there, 0 for none.
	At  End
	Tag int
	// MAC is that of whom it was for, and Next the address, of one that waits.
	MAC  string
	Next netip.Addr
	// To are the ends that it was for.
	To []End
}

// Crossing is the probe's packet that was last seen to leave by an end that is one of some
// switches'; false where it was seen elsewhere last, or where it was to go is not known.
func (o Observation) Crossing(is func(End) bool) (x Crossing, crosses bool) {
	for _, leg := range []evidence.Role{evidence.Answer, evidence.Request} {
		s, seen := o.LastSeen(leg)
		if !seen {
			continue
		}
		p := o.at(s, leg)
		if s.Direction != evidence.Out || p.state == nil {
			return x, false
		}
		own := wiredOf(is, p.state, p.state.LinkNamed(s.Interface))
		if !is(own.End) {
			return x, false
		}
		p.way = p.onwards()
		x = Crossing{Seen: s, At: own.End, Tag: own.tag}
		for _, peer := range p.peersOf(p.sentBy(), own.End) {
			if to := wiredOf(is, peer.state, peer.link); is(to.End) && p.has(peer, p.next()) {
				x.To, x.MAC = append(x.To, to.End), to.mac
			}
		}
		for _, n := range p.state.Neighbours {
			if n.Index == p.way.Out && n.Addr == p.next() && n.MAC != "" {
				x.MAC = n.MAC
			}
		}
		return x, len(x.To) > 0
	}
	return x, false
}

// Waiting is the probe's request that waits for a neighbour at a node, by the cause that says so, as
// it would leave by an end that is one of some switches'; false for another end. Its Seen has the
// addresses that it would have there.
func (o Observation) Waiting(c evidence.Cause, is func(End) bool) (x Crossing, waits bool) {
	p := spot{Observation: o, leg: evidence.Request, state: o.States[c.Node], asked: FirstQuestion(o.Flow)}
	if c.Kind != evidence.Neighbour || c.Leg != evidence.Request || p.state == nil || o.Flow.Protocol == wire.Other {
		return x, false
	}
	if s, seen := o.LastSeen(evidence.Request); seen && s.Node == c.Node && s.Direction == evidence.In {
		p.asked = onward(o.Flow, s)
	} else if seen || c.Node != o.Flow.From {
		return x, false
	}
	p.way, p.to = p.state.Lookups[p.asked], p.asked.To
	own := wiredOf(is, p.state, p.link())
	if !is(own.End) || p.link().Name != c.Interface {
		return x, false
	}
	x = Crossing{At: own.End, Tag: own.tag, Next: p.next()}
	x.Seen = evidence.Sighting{Node: c.Node, Interface: c.Interface, Role: evidence.Request, Source: p.asked.From, Destination: p.to, Protocol: p.asked.Protocol, DestinationPort: cmp.Or(p.asked.Port, o.Flow.Port)}
	if !x.Seen.Source.IsValid() {
		x.Seen.Source = p.way.From
	}
	for _, peer := range p.peersOf(p.askedBy(), own.End) {
		if to := wiredOf(is, peer.state, peer.link); is(to.End) && p.has(peer, p.next()) {
			x.To, x.MAC = append(x.To, to.End), to.mac
		}
	}
	return x, len(x.To) > 0 && x.Seen.Source.IsValid()
}
