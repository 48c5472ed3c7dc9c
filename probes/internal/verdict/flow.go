package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
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
			if f.Doubt != "" {
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
	// MAC is that of whom it was for.
	MAC string
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
