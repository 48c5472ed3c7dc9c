package policy

import (
	"slices"

	"github.com/nstest/nstest/harness/inspect"
)

// station notes from which base chains packets come to each chain.
func (m *model) station() {
	m.from = map[*inspect.Chain][]*inspect.Chain{}
	var note func(base, c *inspect.Chain)
	note = func(base, c *inspect.Chain) {
		if slices.Contains(m.from[c], base) {
			return
		}
		m.from[c] = append(m.from[c], base)
		for _, r := range c.Rules {
			for _, to := range targets(r) {
				note(base, to)
			}
		}
	}
	for _, base := range basesOf(m.set) {
		note(base, base)
	}
}

// meets says whether packets come to the chain of a rule from a base chain of those.
func (c *compiler) meets(which func(base *inspect.Chain) bool) bool {
	return slices.ContainsFunc(c.from[c.line.in.of], which)
}

// at says whether a base chain is at one of the hooks.
func at(hooks ...string) func(*inspect.Chain) bool {
	return func(base *inspect.Chain) bool { return slices.Contains(hooks, base.Hook) }
}
