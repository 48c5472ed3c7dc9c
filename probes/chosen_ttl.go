package probes

import (
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// reach is with which TTL a request left its asker; 0 where it is not known, or a rule on
// the way may have changed it.
type reach int

// most is the highest TTL with which any program's packet can come to where the request
// came with one; 0 is not known.
func (r reach) most(ttl int) uint8 {
	const highest = 255
	if r == 0 || ttl <= 0 || ttl > int(r) {
		return 0
	}
	return uint8(highest - (int(r) - ttl))
}

// reachOf finds it for a finding.
func (c *recall) reachOf(f *finding) (reach, error) {
	if f.from == nil {
		return 0, nil
	}
	left := slices.IndexFunc(f.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Node == f.from.Name() && s.Direction == evidence.Out
	})
	if left < 0 {
		return 0, nil
	}
	for _, node := range f.from.Lab().Nodes() {
		if f.requestAt(node) < 0 || node.Attached() {
			continue
		}
		set, err := c.rulesetOf(node)
		if err != nil {
			return 0, err
		}
		if rules.SetsTTL(set) {
			return 0, nil
		}
	}
	return reach(f.Timeline[left].TTL), nil
}
