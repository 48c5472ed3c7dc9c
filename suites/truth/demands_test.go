package truth_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
)

// demand is one that every question's answer has to meet. Its check says what is
// wrong; "" when nothing is.
type demand struct {
	name  string
	check func(r *round) string
}

// demands are all. They know of the library what it said, and nothing of how.
var demands = []demand{
	{"isolated, but a byte of this very check was delivered", func(r *round) string {
		if v := r.said.isolated; v.holds && v.delivered > 0 {
			return fmt.Sprintf("%d packets were delivered at %s during BeIsolatedFrom", v.delivered, r.to)
		}
		return ""
	}},
	{"isolated, but what a plain socket sends is delivered", func(r *round) string {
		for _, f := range r.facts {
			if r.said.isolated.holds && r.to != "" && f.arrived[r.to] > 0 {
				return f.String()
			}
		}
		return ""
	}},
	{"isolated by a mistake", func(r *round) string {
		for _, f := range r.sound {
			// What ends it at other addresses than the nearest may be anything.
			nearest := !f.src.IsValid() && slices.ContainsFunc(r.said.watched, func(res probes.Result) bool { return res.Addr == f.to })
			if nearest && !r.w.remembers() && !r.w.blind() && f.arrived[r.to] > 0 {
				return "without the mistake: " + f.String()
			}
		}
		return ""
	}},
	{"something is said about a node of another lab", func(r *round) string {
		if r.across && (r.said.isolated.holds || r.said.reached.holds) {
			return fmt.Sprintf("isolated %t, reached %t", r.said.isolated.holds, r.said.reached.holds)
		}
		return ""
	}},
	{"an address that nobody has is isolated", func(r *round) string {
		if r.to == "" && r.said.isolated.holds {
			return r.addr + " is no node's"
		}
		return ""
	}},
	{"not isolated, as it was delivered, but nothing was", func(r *round) string {
		v := r.said.isolated
		if !v.asked || v.holds || v.err != nil || v.delivered > 0 || r.kind == every || r.w.remembers() || slices.ContainsFunc(r.facts, func(f fact) bool { return f.arrived[r.to] > 0 }) {
			return ""
		}
		return "BeIsolatedFrom is false, and no try was delivered"
	}},
	{"unanswered, but it was not delivered, or answered", func(r *round) string {
		v := r.said.unanswered
		switch {
		case !v.holds:
			return ""
		case v.delivered == 0:
			return "nothing was delivered at " + r.to + " during BeUnansweredBy"
		case r.w.remembers():
			return ""
		}
		return r.each(r.said.watched, func(_ probes.Result, f fact) string {
			if f.answered || f.arrived[r.to] == 0 {
				return f.String()
			}
			return ""
		})
	}},
	{"refused by the target, but nothing was delivered there", func(r *round) string {
		if v := r.said.refused; v.holds && v.delivered == 0 && !r.w.rejects(r.to) {
			return "nothing was delivered at " + r.to + " during BeRefusedBy"
		}
		return ""
	}},
	{"reached, but the target did not answer", func(r *round) string {
		if !r.said.reached.holds || r.w.remembers() {
			return ""
		}
		return r.each(r.said.bare, func(res probes.Result, f fact) string {
			if r.reached(f) == no {
				return f.String()
			}
			return ""
		})
	}},
	{"not reached, but the target answers", func(r *round) string {
		v := r.said.reached
		if !v.asked || v.holds || r.w.remembers() || r.each(r.said.bare, func(_ probes.Result, f fact) string {
			if r.reached(f) != yes {
				return "not"
			}
			return ""
		}) != "" {
			return ""
		}
		return fmt.Sprintf("Reach: %v\n%s", v.err, r.factsText())
	}},
	{"no answer is said to come, but one comes", func(r *round) string {
		if r.w.remembers() {
			return ""
		}
		return r.each(slices.Concat(r.said.bare, r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			if res.Outcome != probes.Answered && f.answered {
				return fmt.Sprintf("%s (%s)\n%s", res, causeOf(res), f)
			}
			return ""
		})
	}},
	{"an answer is said to come, but none comes", func(r *round) string {
		if r.w.remembers() {
			return ""
		}
		return r.each(slices.Concat(r.said.bare, r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			if res.Outcome == probes.Answered && !f.answered && !f.opened {
				return fmt.Sprintf("%s\n%s", res, f)
			}
			return ""
		})
	}},
	{"somebody else answered", func(r *round) string {
		return r.each(slices.Concat(proven(r.said.bare), r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			by := strings.Fields(f.by)
			if !r.signs(f.by) || !r.due() {
				by = append(by, f.connected...) // they may hand on what they are sent
			}
			if res.Outcome == probes.Answered && res.By != "" && f.answered && len(by) > 0 && !slices.Contains(by, res.By) {
				return fmt.Sprintf("%s\n%s", res, f)
			}
			return ""
		})
	}},
	{"a cell is ok, but the target did not answer", func(r *round) string {
		if r.said.cell != "ok" || r.w.remembers() {
			return ""
		}
		return r.each(r.said.surveyed, func(res probes.Result, f fact) string {
			if r.reached(f) == no {
				return fmt.Sprintf("cell ok: %s\n%s", res, f)
			}
			return ""
		})
	}},
	{"the request is said to be stopped by a policy, but it was delivered", func(r *round) string {
		if r.w.remembers() {
			return ""
		}
		return r.each(slices.Concat(r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			if c := res.Cause; c != nil && c.Policy && c.Leg == evidence.Request && !c.Connected && c.Kind != evidence.Reject && f.arrived[r.to] > 0 {
				return fmt.Sprintf("%s\n%s\n%s", res, c, f)
			}
			return ""
		})
	}},
	{"the answer is said to be stopped, but the request was not delivered", func(r *round) string {
		if r.w.remembers() {
			return ""
		}
		return r.each(slices.Concat(r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			if c := res.Cause; c != nil && c.Kind != evidence.Unknown && (c.Leg == evidence.Answer || c.Connected) && len(f.arrived) == 0 {
				return fmt.Sprintf("%s\n%s\n%s", res, c, f)
			}
			return ""
		})
	}},
	{"nobody is said to listen, but nothing was delivered there", func(r *round) string {
		return r.each(r.said.watched, func(res probes.Result, f fact) string {
			if c := res.Cause; c != nil && c.Kind == evidence.NoListener && c.Leg == evidence.Request && !r.w.remembers() && f.arrived[c.Node] == 0 {
				return fmt.Sprintf("%s\n%s\n%s", res, c, f)
			}
			return ""
		})
	}},
	{"watched and unwatched differ", disagree},
	{"what was named is lifted, and nothing turns", func(r *round) string {
		if !r.lifted || r.turned || len(r.said.lifts) == 0 {
			return ""
		}
		text := ""
		for _, l := range r.said.lifts {
			if l.err != nil && !slices.Contains([]evidence.Kind{evidence.NoRoute}, l.cause.Kind) && !strings.Contains(l.err.Error(), "not lifted") {
				return fmt.Sprintf("%s: %v", l.cause, l.err)
			}
			if l.err != nil {
				return ""
			}
			text += "\n" + l.cause.String()
		}
		return "lifted:" + text
	}},
	{"the counter of the rule that is named did not move", func(r *round) string {
		v := r.said.isolated
		cause := firstRule(r.said.watched)
		if !v.holds || cause == nil || v.counters == nil || r.w.remembers() {
			return ""
		}
		rule := cause.Rule
		n, there := v.counters[cause.Node+" "+ruleID(rule.Family, rule.Table, rule.Chain, rule.Handle)]
		switch {
		case !there:
			return fmt.Sprintf("%s has no rule %q", cause.Node, rule.Text)
		case n == 0:
			return fmt.Sprintf("%s: %q counted nothing", cause.Node, rule.Text)
		}
		return ""
	}},
	{"it could not be asked", func(r *round) string {
		if r.unasked != nil && r.addr == "" {
			return r.unasked.Error()
		}
		return ""
	}},
}

func proven(results []probes.Result) []probes.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r probes.Result) bool { return !r.Proven })
}

func causeOf(r probes.Result) string {
	if r.Cause == nil {
		return "no cause"
	}
	return r.Cause.String()
}

// each checks every result against the fact of its address.
func (r *round) each(results []probes.Result, check func(probes.Result, fact) string) string {
	for _, res := range results {
		if f, ok := r.fact(res.Addr); ok {
			if why := check(res, f); why != "" {
				return why
			}
		}
	}
	return ""
}

func (r *round) factsText() string {
	text := ""
	for _, f := range r.facts {
		text += "  " + f.String() + "\n"
	}
	return text
}

// answer is what is true about whether the target was reached.
type answer int

const (
	unknown answer = iota
	yes
	no
)

// reached says whether Reach is to hold at a fact's address: the target's own
// service exchanged data; of TCP without a signature it had the connection.
func (r *round) reached(f fact) answer {
	connected := slices.Contains(f.connected, r.to)
	switch {
	case f.kind != tcp && f.answered && f.by == r.to:
		return yes
	case f.kind != tcp && f.answered && slices.Contains(strings.Fields(f.by), r.to):
		return unknown // an echo that was delivered at several
	case f.kind != tcp || !f.opened:
		return no
	case f.answered && f.by == r.to && (r.signs(r.to) || len(f.connected) == 1):
		return yes
	case f.answered && f.by == r.to:
		return unknown // through somebody who handed it on
	case f.answered && r.signs(f.by) && connected && !r.due():
		return unknown // a proxy: it is the connection's, or the one's whose signature could be had
	case f.answered && r.signs(f.by):
		return no // it is that one's signature
	case !connected || r.due():
		return no
	case slices.ContainsFunc(r.w.services, func(s service) bool { return s.network == tcp && s.signed }):
		return unknown // whether a signature is waited for is the library's business
	}
	return yes
}

// signs says whether some service of the kind that is asked signs at a node.
func (r *round) signs(node string) bool {
	return slices.ContainsFunc(r.w.services, func(s service) bool {
		return s.node == node && s.network == r.kind && s.signed
	})
}

// due says whether the target signs at the port that is asked.
func (r *round) due() bool {
	return slices.ContainsFunc(r.w.services, func(s service) bool {
		return s.node == r.to && s.network == r.kind && s.port == r.port && s.signed
	})
}

// byChance are causes of which a kernel tells the asker only now and then, or late.
var byChance = []evidence.Kind{evidence.NoRoute, evidence.NoForward, evidence.Blackhole, evidence.Unreachable, evidence.Prohibit, evidence.Neighbour, evidence.NoAddress, evidence.LinkDown, evidence.NoCarrier, evidence.Unknown, evidence.WrongMAC}

// disagree compares a bare ask with a watched one.
func disagree(r *round) string {
	if r.w.remembers() || len(r.said.watched) == 0 {
		return ""
	}
	if len(r.said.bare) != len(r.said.watched) {
		return fmt.Sprintf("%d results unwatched, %d watched", len(r.said.bare), len(r.said.watched))
	}
	for i, watched := range r.said.watched {
		bare := r.said.bare[i]
		said := func(o probes.Outcome) bool { return bare.Outcome == o || watched.Outcome == o }
		switch {
		case bare.Outcome == watched.Outcome:
			continue
		case said(probes.Answered):
		case watched.Cause != nil && slices.Contains(byChance, watched.Cause.Kind):
			continue
		case said(probes.Refused) && said(probes.Rejected):
			continue // who it was, only a watch can tell
		}
		return fmt.Sprintf("unwatched: %s\nwatched: %s (%s)", bare, watched, causeOf(watched))
	}
	return ""
}
