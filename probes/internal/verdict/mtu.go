package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// Muted is an ICMP error that a rule dropped.
type Muted struct {
	At   time.Time
	Node string
	To   netip.Addr
	Rule *evidence.Rule
}

var mtu = row{
	kind: evidence.MTU, verb: "too large", policy: never, needs: needPackets | needHeard | needLinks | needLookups | needRoutes,
	mend: "send less, or raise the MTU",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unsent: func(p spot, c *evidence.Cause) bool {
			c.Detail = "the packet is larger than the link takes"
			return p.Heard.Errno == unix.EMSGSIZE
		},
		leaving: tooLarge,
		onLink: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.receivers() {
				if peer.link.MTU < p.seen.Length {
					moves(c, peer.End)
					c.MTU = peer.link.MTU
					c.Detail = fmt.Sprintf("%d bytes, and the link there takes %d", p.seen.Length, c.MTU)
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{counters: []string{"Ip.FragFails", "Ip6.FragFails", "Ip6.InTooBigErrors"}},
	unliftable: "an MTU is no policy",
}

// tooLarge says whether the packet is larger than the link that it is to leave by takes, or
// its route; and what kept its sender from learning it.
func tooLarge(p spot, c *evidence.Cause) bool {
	c.Interface = p.link().Name
	switch d, decided := p.state.Decide(p.asked); {
	case p.length > p.link().MTU:
		c.MTU = p.link().MTU
		c.Detail = fmt.Sprintf("%d bytes, and the link takes %d", p.length, c.MTU)
	case decided && d.Route != nil && d.Route.MTU != 0 && p.length > d.Route.MTU:
		c.MTU = d.Route.MTU
		c.Detail = fmt.Sprintf("%d bytes, and the route to %s takes %d", p.length, d.Route.To, c.MTU)
	default:
		return false
	}
	if at, by := p.muted(); by != nil {
		c.Detail += fmt.Sprintf("; the ICMP error that says so was dropped at %s by %s", at, by)
	}
	return true
}

// muted is the node at which a rule dropped the last ICMP error about the packet, and the rule;
// nil where none did.
func (p spot) muted() (node string, by *evidence.Rule) {
	about := map[evidence.Role]evidence.Role{evidence.Request: evidence.Refusal, evidence.Answer: evidence.Undone}[p.leg]
	for _, s := range slices.Backward(p.Timeline) {
		if s.Role == about && s.Dropped() {
			return s.Node, s.Rule
		}
	}
	for _, m := range slices.Backward(p.Muted) {
		if slices.ContainsFunc(p.Timeline, func(s evidence.Sighting) bool { return s.Role == p.leg && s.Source == m.To }) {
			return m.Node, m.Rule
		}
	}
	return "", nil
}
