package verdict

import "github.com/nstest/nstest/probes/evidence"

var reject = row{
	kind: evidence.Reject, verb: "rejected", policy: always, needs: needRules,
	at: map[stage]func(spot, *evidence.Cause) bool{
		ruled: func(p spot, c *evidence.Cause) bool { return p.seen.Rule.Rejects },
	},
	confirmed: confirmation{otherwise: "the rule was seen to do it"},
	lift:      liftRule,
}
