package rules

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// overTTLs evaluates a rule for a packet with each TTL that it can have there. Where the
// answer is the same for all, it does not depend on the TTL.
func overTTLs(p *Packet, evaluate func(*Packet) (Answer, []expr.Verdict, Trait)) (result Answer, verdicts []expr.Verdict, by Trait) {
	result, verdicts, by = evaluate(p)
	if !p.isFree || by&TTL == 0 {
		return result, verdicts, by
	}
	first, kinds, on := p.withTTL(1, evaluate)
	for ttl := 2; ttl <= p.mostTTL(); ttl++ {
		answer, other, also := p.withTTL(uint8(ttl), evaluate)
		if answer != first || !slices.Equal(other, kinds) {
			return result, verdicts, by
		}
		on |= also
	}
	return first, kinds, on
}

func (p *Packet) withTTL(ttl uint8, evaluate func(*Packet) (Answer, []expr.Verdict, Trait)) (Answer, []expr.Verdict, Trait) {
	other := *p
	other.TTL = &ttl
	return evaluate(&other)
}

// mostTTL is the highest that it can have where it is: a router takes one from it before
// the packet comes to forward.
func (p *Packet) mostTTL() int {
	const highest = 255
	if p.MostTTL == 0 { // a rule may have set it
		return highest
	}
	most := int(p.MostTTL)
	if p.Foreign && slices.Contains([]string{"forward", "postrouting"}, p.Hook) {
		most--
	}
	return most
}

// SetsTTL says whether any rule of a ruleset changes a TTL, or may.
func SetsTTL(set *inspect.Ruleset) bool {
	writes := func(e any) bool {
		switch e := e.(type) {
		case *expr.Payload:
			return e.OperationType == expr.PayloadWrite && e.Base == expr.PayloadBaseNetworkHeader && e.Offset <= ttl4 && e.Offset+e.Len > ttl6
		case *expr.Target:
			return targetAlters(e.Name)&altersHeader != 0
		}
		return false
	}
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			if slices.ContainsFunc(chain.Rules, func(r *inspect.Rule) bool { return slices.ContainsFunc(r.Exprs, writes) }) {
				return true
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			if slices.ContainsFunc(chain.Rules, func(r *inspect.LegacyRule) bool {
				return table.Chain(r.Target) == nil && targetAlters(r.Target)&altersHeader != 0
			}) {
				return true
			}
		}
	}
	return false
}

// Where the headers of IPv4 and IPv6 have it.
const ttl4, ttl6 = 8, 7

// ttlIs says whether a TTL is as iptables asks: by one of eq, ne, lt and gt.
func ttlIs(ttl *uint8, mode int, than uint8) Answer {
	if ttl == nil {
		return Maybe
	}
	switch mode {
	case 0:
		return answer(*ttl == than)
	case 1:
		return answer(*ttl != than)
	case 2:
		return answer(*ttl < than)
	case 3:
		return answer(*ttl > than)
	}
	return Maybe
}
