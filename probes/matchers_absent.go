package probes

import "errors"

// A matcher that is nil holds of nothing, and says so: here is it, or one in its place.

func (m *IsolationMatcher) here() *IsolationMatcher {
	if m == nil {
		return &IsolationMatcher{name: "the check", named: named{wrong: errNoMatcher}}
	}
	return m
}

func (m *RefusalMatcher) here() *RefusalMatcher {
	if m == nil {
		return &RefusalMatcher{name: "the check", named: named{wrong: errNoMatcher}}
	}
	return m
}

func (m *ReachMatcher) here() *ReachMatcher {
	if m == nil {
		return &ReachMatcher{passage: passage{wrong: errors.New("the matcher is nil: pass what Reach returns")}}
	}
	return m
}
