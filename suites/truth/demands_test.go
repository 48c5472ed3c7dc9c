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
	// timely is true of what is right within a time alone: where the network's programs and
	// services were late, which are of this process, the library's bound was over; and where a
	// plain socket's answer took longer than that.
	timely bool
	// absent is true of what rests on the oracle's having seen nothing: where this process was
	// late meanwhile, that is not known.
	absent bool
}

// tooLate is how late they may be in sum: less than what an answer has left of a bound.
const tooLate = bound / 2

// moot says whether nothing follows from what was not met.
func (d demand) moot(r *round) bool {
	return d.timely && (r.said.late > tooLate || r.tardy()) || d.absent && r.missed > tooLate
}

// tardy says whether an answer to a plain socket took longer than the library waits for one.
func (r *round) tardy() bool {
	return slices.ContainsFunc(r.facts, func(f fact) bool { return f.plain() && f.answered && f.took > r.w.within(r.ask) })
}

// leftOpen says whether the library says of a silence that it does not know what it is of: it
// claims nothing then. How often it does is counted.
func leftOpen(res probes.Result) bool {
	return res.Outcome == probes.Silent && res.Cause != nil && res.Cause.Kind == evidence.Unknown
}

// demands are all. They know of the library what it said, and nothing of how.
var demands = []demand{
	{name: "isolated, but a byte of this very check was delivered", check: func(r *round) string {
		if v := r.said.isolated; v.holds && v.delivered > 0 && !v.conversing && !r.w.makes(r.port) {
			return fmt.Sprintf("%d packets were delivered at %s during BeIsolatedFrom", v.delivered, r.to)
		}
		return ""
	}},
	{name: "isolated, but what a plain socket sends is delivered", check: func(r *round) string {
		for _, f := range r.facts {
			if r.said.isolated.holds && r.to != "" && f.arrived[r.to] > 0 {
				return f.String()
			}
		}
		return ""
	}},
	{name: "isolated by a mistake", check: func(r *round) string {
		sound := r.w.without(func(p part) bool { return p.mistake })
		for _, f := range r.sound {
			// What ends it at other addresses than the nearest may be anything.
			nearest := !f.src.IsValid() && slices.ContainsFunc(r.said.watched, func(res probes.Result) bool { return res.Addr == f.to })
			if nearest && !sound.remembers() && !r.w.blind() && f.arrived[r.to] > 0 {
				return "without the mistake: " + f.String()
			}
		}
		return ""
	}},
	{name: "something is said about a node of another lab", check: func(r *round) string {
		if r.across && (r.said.isolated.holds || r.said.reached.holds) {
			return fmt.Sprintf("isolated %t, reached %t", r.said.isolated.holds, r.said.reached.holds)
		}
		return ""
	}},
	{name: "an address that nobody has is isolated", check: func(r *round) string {
		if r.to == "" && r.said.isolated.holds {
			return r.addr + " is no node's"
		}
		return ""
	}},
	{name: "not isolated, as it was delivered, but nothing was", absent: true, check: func(r *round) string {
		v := r.said.isolated
		if !v.asked || v.holds || v.err != nil || v.delivered > 0 || r.kind == every || r.w.remembers() || slices.ContainsFunc(r.facts, func(f fact) bool { return f.arrived[r.to] > 0 }) {
			return ""
		}
		return "BeIsolatedFrom is false, and no try was delivered"
	}},
	{name: "not isolated, but rules alone keep it from being delivered", absent: true, check: func(r *round) string {
		if !r.stopped() || len(r.freed) == 0 || slices.ContainsFunc(r.freed, func(f fact) bool { return f.arrived[r.to] == 0 }) {
			return ""
		}
		return fmt.Sprintf("%v\nwith them:\n%swithout them:\n%s", r.said.isolated.err, textOf(r.facts), textOf(r.freed))
	}},
	{name: "unanswered, but it was not delivered, or answered", absent: true, check: func(r *round) string {
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
	{name: "refused by the target, but nothing was delivered there", absent: true, check: func(r *round) string {
		if v := r.said.refused; v.holds && v.delivered == 0 && !r.w.rejects(r.to) {
			return "nothing was delivered at " + r.to + " during BeRefusedBy"
		}
		return ""
	}},
	{name: "reached, but the target did not answer", absent: true, check: func(r *round) string {
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
	{name: "not reached, but the target answers", check: func(r *round) string {
		v := r.said.reached
		if !v.asked || v.holds || v.inconclusive() != "" || r.w.remembers() || slices.ContainsFunc(r.said.bare, func(res probes.Result) bool {
			f, ok := r.fact(res.Addr)
			return ok && r.reached(f) != yes
		}) {
			return ""
		}
		return fmt.Sprintf("Reach: %v\n%s", v.err, r.factsText())
	}, timely: true},
	{name: "no answer is said to come, but one comes", check: func(r *round) string {
		if r.w.remembers() {
			return ""
		}
		return r.each(slices.Concat(r.said.bare, r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			if res.Outcome != probes.Answered && f.answered && !leftOpen(res) {
				return fmt.Sprintf("%s (%s)\n%s", res, causeOf(res), f)
			}
			return ""
		})
	}, timely: true},
	{name: "an answer is said to come, but none comes", absent: true, check: func(r *round) string {
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
	{name: "somebody else answered", check: func(r *round) string {
		return r.each(slices.Concat(proven(r.said.bare), r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			by := strings.Fields(f.by)
			if !r.signs(f.by) || !r.due() || strings.Contains(res.String(), "without the signature that was due") {
				by = append(by, f.connected...) // they may hand on what they are sent
			}
			if r.w.remembers() {
				by = append(by, f.connected...) // what it hands on may die of what went before
			}
			if res.Outcome == probes.Answered && res.By != "" && f.answered && len(by) > 0 && !slices.Contains(by, res.By) {
				return fmt.Sprintf("%s\n%s", res, f)
			}
			return ""
		})
	}},
	{name: "a cell is ok, but the target did not answer", absent: true, check: func(r *round) string {
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
	{name: "the request is said to be stopped by a policy, but it was delivered", check: func(r *round) string {
		if r.w.remembers() {
			return ""
		}
		return r.each(slices.Concat(r.said.watched, r.said.surveyed), func(res probes.Result, f fact) string {
			if c := res.Cause; c != nil && c.Policy && c.Leg == evidence.Request && !c.Connected && c.Kind != evidence.Reject && f.arrived[r.to] > 0 {
				return fmt.Sprintf("%s\n%s\n%s", res, c, f)
			}
			return ""
		})
	}, timely: true}, // a program that forwards is this process
	{name: "the answer is said to be stopped, but the request was not delivered", absent: true, check: func(r *round) string {
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
	{name: "nobody is said to listen, but nothing was delivered there", absent: true, check: func(r *round) string {
		return r.each(r.said.watched, func(res probes.Result, f fact) string {
			if c := res.Cause; c != nil && c.Kind == evidence.NoListener && c.Leg == evidence.Request && !r.w.remembers() && f.arrived[c.Node] == 0 {
				return fmt.Sprintf("%s\n%s\n%s", res, c, f)
			}
			return ""
		})
	}},
	{name: "a cause is told without need, or none", check: func(r *round) string {
		for _, res := range slices.Concat(r.said.watched, r.said.surveyed, r.said.all[1]) {
			// Where no path is, another node may answer that has the address.
			apart := res.Cause != nil && res.Cause.Kind == evidence.NoPath
			if (res.Cause == nil) != (res.Outcome == probes.Answered) && !apart {
				return fmt.Sprintf("%s (%s)", res, causeOf(res))
			}
		}
		return ""
	}},
	{name: "what was named is lifted, and the next end is not understood", check: func(r *round) string { return r.said.lost }, timely: true},
	{name: "watched and unwatched differ", check: func(r *round) string { return r.differ(r.said.bare, r.said.watched) }, timely: true},
	{name: "a watched survey and an unwatched one differ", check: func(r *round) string { return r.differ(r.said.all[0], r.said.all[1]) }, timely: true},
	{name: "what was named is lifted, and nothing turns", check: func(r *round) string {
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
	{name: "the counter of the rule that is named did not move", check: func(r *round) string {
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
	{name: "it could not be asked", check: func(r *round) string {
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

// each checks every result against the facts of its address: one of them is to agree.
func (r *round) each(results []probes.Result, check func(probes.Result, fact) string) string {
	for _, res := range results {
		why := ""
		for _, f := range r.facts {
			if f.to != res.Addr || !f.bare() {
				continue
			}
			if why = check(res, f); why == "" {
				break
			}
		}
		if why != "" {
			return why
		}
	}
	return ""
}

func (r *round) factsText() string { return textOf(r.facts) }

func textOf(facts []fact) string {
	text := ""
	for _, f := range facts {
		text += "  " + f.String() + "\n"
	}
	return text
}
