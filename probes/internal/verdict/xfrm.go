package verdict

import (
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var xfrm = row{
	kind: evidence.XFRM, verb: "dropped", policy: always, needs: needPackets | needXfrm | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		handed: func(p spot, c *evidence.Cause) bool {
			return p.blocked(c, inspect.XfrmFwd, onward(p.Flow, p.seen), p.seen.Index)
		},
		delivered: func(p spot, c *evidence.Cause) bool {
			return p.blocked(c, inspect.XfrmIn, onward(p.Flow, p.seen), p.seen.Index)
		},
		leaving: func(p spot, c *evidence.Cause) bool {
			asked := p.asked
			if !asked.From.IsValid() {
				asked.From = p.way.From
			}
			return p.blocked(c, inspect.XfrmOut, asked, p.way.Out)
		},
	},
	confirmed:  confirmation{counters: []string{"Xfrm.InPolBlock", "Xfrm.OutPolBlock"}, ends: []string{"Xfrm.InPolBlock"}},
	unliftable: "a policy of xfrm is not the harness's: the test itself takes it away",
}

// blocked says whether a policy of xfrm blocks a packet.
func (p spot) blocked(c *evidence.Cause, d inspect.XfrmDirection, q inspect.Question, index int) bool {
	found, ok := p.state.Xfrm(d, q, index)
	c.Detail = "policy " + found.String()
	if ok && found.Blocks && found.Expires {
		c.Kind = evidence.Unknown
		c.Detail += " drops it, until that expires: a policy that lasts, or a rule, would isolate"
	}
	return ok && found.Blocks
}
