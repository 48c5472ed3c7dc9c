package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var tunnel = row{
	kind: evidence.Tunnel, verb: "lost", policy: never, needs: needPackets | needLinks | needPlan,
	mend: "see that both ends of the tunnel have the same number and each other's addresses, and what keeps its packets from the other end below",
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool {
			own := p.in()
			if link, is := p.encrypts(); is {
				return p.isLostBelow(link, c)
			}
			if _, is := tunnels[own.Kind]; !is {
				return false
			}
			c.Interface = own.Name
			others := p.receivers()
			if mismatched(own, others, c) {
				return true
			}
			if len(others) == 1 {
				c.Carrier = p.carrierTo(own, others[0])
			}
			c.Detail = fmt.Sprintf("%s is a tunnel (%s): %s", own.Name, own.Kind, lostBelow)
			return true
		},
		// The question for the neighbour is what ends that do not fit lose first.
		resolving: func(p spot, c *evidence.Cause) bool {
			c.Interface = p.link().Name
			return p.unresolved() && mismatched(p.link(), p.peers(), c)
		},
	},
	// Where the ends fit, what carries it may wait for a neighbour below, as a second packet would.
	passes:     func(p spot, _ evidence.Cause) bool { return !mismatched(p.link(), p.peers(), new(evidence.Cause)) },
	confirmed:  confirmation{otherwise: "the packet was seen to leave into the tunnel and nowhere else, and what its two ends have is read"},
	unliftable: "what carries a tunnel is lost by no policy that was seen",
}

// lostBelow is said where the two ends fit.
const lostBelow = "what carries it was lost below, or not taken at the other end"

// isLostBelow is for a packet that WireGuard has keys for, so that it sent it on at once.
func (p spot) isLostBelow(own inspect.WireGuard, c *evidence.Cause) bool {
	to, allowed := own.Peer(p.to)
	if !allowed || !p.agreed(to) {
		return false
	}
	carrier, why := p.encryptedTo(own, to)
	if why == "" {
		why = lostBelow
	}
	c.Detail, c.Carrier = fmt.Sprintf("%s is a tunnel (%s): %s", p.in().Name, p.in().Kind, why), carrier
	return true
}

// tunnels are the kinds of tunnel whose ends are read, and what their number is called.
var tunnels = map[string]string{"vxlan": "VNI", "geneve": "VNI", "gre": "key", "ip6gre": "key", "ipip": "number", "sit": "number"}

// mismatched says whether the other ends of a tunnel do not fit its own, and in what.
func mismatched(own inspect.Link, others []peer, c *evidence.Cause) bool {
	number, is := tunnels[own.Kind]
	if !is || len(others) == 0 {
		return false
	}
	differ := func(a, b netip.Addr) bool { return a.IsValid() && b.IsValid() && a != b }
	for _, other := range others {
		a, b, where := own.Tunnel, other.link.Tunnel, fmt.Sprintf("the other end, %s of %s,", other.Interface, other.Node)
		switch {
		case other.link.Index == 0:
			c.Detail = where + " is not there"
		case own.Kind != other.link.Kind:
			c.Detail = fmt.Sprintf("%s is of kind %s, and this one %s", where, other.link.Kind, own.Kind)
		case a.ID != b.ID:
			c.Detail = fmt.Sprintf("%s has %s %d, and this one %d", where, number, b.ID, a.ID)
		case differ(a.Remote, b.Local):
			c.Detail = fmt.Sprintf("%s is at %s, and this one leads to %s", where, b.Local, a.Remote)
		case differ(a.Local, b.Remote):
			c.Detail = fmt.Sprintf("%s takes packets from %s, and this one is at %s", where, b.Remote, a.Local)
		default:
			return false // one that could have got it
		}
	}
	return true
}
