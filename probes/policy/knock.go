package policy

import "slices"

// mostKnocks bounds how many packets are sent to find out which are let through.
const mostKnocks = 64

// knock tries packets of a family of which none was seen to be let through, though a rule waits for a connection of it: rules of both
// families were met by packets of the other. What the rule itself is tried with later stays as it is: its random numbers are left alone.
func (c *cover) knock() {
	var all []*proposal
	for _, w := range c.worlds {
		waits := slices.ContainsFunc(c.entries, func(e *entry) bool { return !e.done() && e.searchIn(w) != nil })
		if !waits || !w.effects.Tracks || len(c.openers(w)) > 0 {
			continue
		}
		for _, e := range c.entries {
			if r := &e.rule; len(all) == mostKnocks || r.With == nil || !r.With.Passed || e.searchIn(w) == nil {
				continue
			}
			s := e.searchIn(w)
			if p := s.newSearch(s.goal, s.reachOf(s.goal.base.of), e.rule.rand()).next(); p != nil && s.isOf(p, stateNew) {
				all = append(all, &proposal{task: task{packet: s.packetOf(*p)}, entry: e, search: s, point: *p})
			}
		}
	}
	c.try(all)
}

// searchIn is one of a rule's in a family; nil for none.
func (e *entry) searchIn(w *world) *search {
	for _, s := range slices.Concat(e.searches, e.over) {
		if s.world == w {
			return s
		}
	}
	return nil
}
