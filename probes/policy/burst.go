package policy

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// mostBurst bounds how many packets are sent at once so that a limit is met.
const mostBurst = 200

// bursts sends, for each rule that is met by more packets alone than a limit lets through at once, so many.
func (c *cover) bursts() {
	var all []*proposal
	for _, e := range c.entries {
		if e.done() || e.limited == nil {
			continue
		}
		for range e.burst + 2 { // the limit may have got one back meanwhile
			made := *e.limited
			if hasPorts(made.packet.Protocol) && made.point[fieldSport].lo >= lowestPort {
				made.point[fieldSport] = anyPort(c.rand)
			}
			made.packet = made.search.packetOf(made.point)
			made.heard = heard{}
			all = append(all, &made)
		}
	}
	if len(all) > 0 {
		c.try(all)
	}
}

// limit notes what a burst of a proposal would show: a rule behind a limit that let the packet through, or one that is
// about what is over its own.
func (e *entry) limit(p *proposal, met []*line) {
	if len(met) > 0 && !met[0].exact() { // what ended the packet's way may not do so another time
		if m, remembers := rules.Remembers(met[0].rule); remembers && m.Kind != rules.Users {
			e.rate = m.Text
		}
	}
	burst := limitOf(e.of, true)
	for _, l := range met {
		burst = max(burst, limitOf(l.rule, false))
	}
	if burst == 0 {
		return
	}
	for _, l := range met {
		if m, remembers := rules.Remembers(l.rule); remembers && m.Kind == rules.Rate {
			e.rate = m.Text
		}
	}
	if burst <= mostBurst {
		e.limited, e.burst = p, burst
	}
}

// limitOf is how many packets a rule's limit lets through at once; 0 for one that has none, or the other kind: over says that the
// rule is about those that are too many.
func limitOf(r *inspect.Rule, over bool) int {
	if r == nil {
		return 0
	}
	at := slices.IndexFunc(r.Exprs, func(x any) bool {
		l, is := x.(*expr.Limit)
		return is && l.Over == over && l.Type == expr.LimitTypePkts
	})
	if at < 0 {
		return 0
	}
	l := r.Exprs[at].(*expr.Limit)
	return max(1, int(min(l.Burst, mostBurst+1)))
}
