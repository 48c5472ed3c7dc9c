package rules

import (
	"slices"

	"github.com/nstest/nstest/harness/inspect"
)

// Effects are what the rules of a ruleset do to packets besides letting them through, or have the
// kernel do.
type Effects struct {
	// Marks says that some may set a packet's mark, Writes that some may write to headers, and to more than the traffic class
	// (DSCP, ECN), Translates that some may give packets another address.
	Marks, Writes, Translates bool
	// Tracks says that the kernel may have to track connections for them, Untracks that some may have it
	// pass a packet over, or send a copy, which it tracks never.
	Tracks, Untracks bool
}

// EffectsOf are those of nftables' rules, and iptables-legacy's.
func EffectsOf(set *inspect.Ruleset) (e Effects) {
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				e.add(alters(rule), reads(rule))
				e.Writes = e.Writes || writes(rule)
				e.Untracks = e.Untracks || copies(rule)
				for _, x := range rule.Exprs {
					if opaque, is := x.(*inspect.Opaque); is && !idles(opaque) {
						return Effects{true, true, true, true, true}
					}
				}
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				altered := alteration(0)
				if rule.Target != "" && table.Chain(rule.Target) == nil {
					altered = targetAlters(rule.Target)
				}
				e.add(altered, legacyReads(table, rule))
				e.Writes = e.Writes || altered&altersHeader != 0 && targetWrites(rule.Target)
				e.Untracks = e.Untracks || rule.Target == "TEE"
			}
		}
	}
	return e
}

func (e *Effects) add(alters, reads alteration) {
	e.Marks = e.Marks || alters&altersMark != 0
	e.Translates = e.Translates || alters&altersAddress != 0
	e.Untracks = e.Untracks || alters&altersState != 0
	e.Tracks = e.Tracks || (alters|reads)&altersState != 0
}

// SetsMark says whether a rule sets a packet's mark, or may.
func SetsMark(rule *inspect.Rule) bool {
	return alters(rule)&altersMark != 0 || slices.ContainsFunc(rule.Exprs, func(x any) bool {
		opaque, is := x.(*inspect.Opaque)
		return is && !idles(opaque)
	})
}

// idles says whether of an expression that is not known in full it is known that it alters nothing.
func idles(x *inspect.Opaque) bool { return Idle(x.Name) || slices.Contains(lookers, x.Name) }

// BeforeTracking says whether a base chain meets packets before connection tracking has: no packet has
// the state there that it is to have.
func BeforeTracking(base *inspect.Chain) bool {
	const conntrack = -200 // NF_IP_PRI_CONNTRACK
	return base.Hook != "" && base.Priority <= conntrack && (base.Hook == "prerouting" || base.Hook == "output")
}
