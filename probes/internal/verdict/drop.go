package verdict

import "github.com/nstest/nstest/probes/evidence"

var drop = row{
	kind: evidence.Drop, verb: "dropped", policy: always, needs: needRules,
	at: map[stage]func(spot, *evidence.Cause) bool{
		ruled: func(p spot, c *evidence.Cause) bool { return !p.seen.Rule.Rejects },
	},
	confirmed: confirmation{otherwise: "the rule was seen to do it"},
	lift:      liftRule,
}

// liftRule takes a rule away, or lets its chain's policy accept.
func liftRule(c evidence.Cause) Deed {
	if c.Rule.IsPolicy() {
		return AcceptPolicy{c.Rule}
	}
	return DeleteRule{c.Rule}
}
