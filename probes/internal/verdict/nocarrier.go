package verdict

import "github.com/nstest/nstest/probes/evidence"

var noCarrier = row{
	kind: evidence.NoCarrier, verb: "lost", policy: never, needs: needPackets | needLinks | needPlan,
	mend: "bring the other end up",
	at: map[stage]func(spot, *evidence.Cause) bool{
		leaving: func(p spot, c *evidence.Cause) bool {
			c.Interface, c.Detail = p.link().Name, hasNoCarrier
			return !p.link().Carrier
		},
		onLink: func(p spot, c *evidence.Cause) bool {
			c.Detail = hasNoCarrier
			for _, peer := range p.receivers() {
				if !peer.link.Carrier {
					moves(c, peer.End)
					return true
				}
			}
			return !p.in().Carrier
		},
	},
	confirmed:  confirmation{otherwise: "the link's own state is read"},
	unliftable: "a link is no policy",
}

const hasNoCarrier = "the link has no carrier"
