package watch

import (
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
)

// hasMark says whether a rule of the node was seen to have given the packet its mark.
func hasMark(all evidence.Timeline, s evidence.Sighting) bool {
	return slices.ContainsFunc(all, func(o evidence.Sighting) bool {
		return o.ByRule() && o.Node == s.Node && o.Role == s.Role && o.Mark == s.Mark && o.Destination == s.Destination
	})
}

// order sorts by time. A node's rules speak after its interface on the way in
// and before the one on the way out, whatever clocks say: a rule's words are
// stamped when they are read.
func order(t evidence.Timeline) evidence.Timeline {
	for i, s := range t {
		if s.ByRule() {
			t[i].At = ruleTime(t, s)
		}
	}
	slices.SortStableFunc(t, func(a, b evidence.Sighting) int { return a.At.Compare(b.At) })
	return t
}

// ruleTime is right after the packet came in at the node; where it came from the
// node itself, right before it left.
func ruleTime(t evidence.Timeline, rule evidence.Sighting) time.Time {
	var in, out time.Time
	for _, s := range t {
		if s.ByRule() || s.Node != rule.Node || s.Role != rule.Role || s.At.After(rule.At) {
			continue
		}
		if s.Direction == evidence.In && s.At.After(in) {
			in = s.At
		}
		if s.Direction == evidence.Out && s.At.After(out) {
			out = s.At
		}
	}
	switch {
	case !in.IsZero():
		return in.Add(1)
	case !out.IsZero() && !rule.Dropped():
		return out.Add(-1)
	}
	return rule.At
}
