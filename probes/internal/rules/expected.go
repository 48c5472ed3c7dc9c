package rules

import (
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
)

// expectedBy is what a rule depends on that tells apart connections which others of the rules
// have connection tracking expect; of kind 0 where none of these can be the packet's.
func expectedBy(all []inspect.Expectation, place fmt.Stringer, p Packet) Memory {
	for _, e := range all {
		if e.Family != 0 && p.family() != 0 && e.Family != p.family() || e.Protocol != 0 && p.is(e.Protocol) == No ||
			e.Port != 0 && p.DstPort != nil && *p.DstPort != e.Port {
			continue
		}
		return Memory{Kind: History, Text: "whether its connection is expected (" + e.By + ")", Rule: place}
	}
	return Memory{}
}

// tellsExpected says whether a rule tells an expected connection from another that is new: by
// its state, or by what it has of the connection that it is expected by.
func tellsExpected(rule *inspect.Rule) bool {
	const status, helper, mark = expr.CtKeySTATUS, expr.CtKeyHELPER, expr.CtKeyMARK
	for _, x := range rule.Exprs {
		switch x := x.(type) {
		case *expr.Ct:
			if !x.SourceRegister && (x.Key == status || x.Key == helper || x.Key == mark) {
				return true
			}
		case *expr.Match:
			asks, _, _, _ := conntrackInfo(x.Info)
			if x.Name == "helper" || x.Name == "connmark" || asks&uint16(xt.ConntrackStatus) != 0 {
				return true
			}
		}
	}
	return related(func(p *Packet) (Answer, []expr.Verdict, Trait) { return evaluate(rule, p) })
}

func tellsExpectedLegacy(rule *inspect.LegacyRule) bool {
	if slices.Contains(rule.Modules, "helper") || slices.Contains(rule.Modules, "connmark") ||
		slices.ContainsFunc(rule.Options, func(o inspect.LegacyOption) bool { return o.Name == "--ctstatus" }) {
		return true
	}
	return related(func(p *Packet) (Answer, []expr.Verdict, Trait) {
		answer, by := matchLegacy(rule, p)
		return answer, nil, by
	})
}

// related says whether it makes a difference that a first packet is related.
func related(evaluate func(*Packet) (Answer, []expr.Verdict, Trait)) bool {
	a, as, _ := evaluate(&Packet{State: new(uint32(expr.CtStateBitNEW))})
	b, bs, _ := evaluate(&Packet{State: new(uint32(expr.CtStateBitRELATED))})
	return a != b || !slices.Equal(as, bs)
}

// RemembersLegacyOf is RemembersLegacy for a packet, which the rules of the set may have had
// expected.
func RemembersLegacyOf(set *inspect.Ruleset, rule *inspect.LegacyRule, p Packet) (Memory, bool) {
	m, remembers := RemembersLegacy(rule)
	if m.Kind != 0 && m.Kind != Users || rule.Target == "" {
		return m, remembers
	}
	if all := set.Expectations(); len(all) > 0 && tellsExpectedLegacy(rule) {
		if by := expectedBy(all, rule, p); by.Kind != 0 {
			return by, true
		}
	}
	return m, remembers
}
