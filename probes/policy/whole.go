package policy

import "slices"

// course is a packet's way through all base chains of a hook, as the model has it.
type course struct {
	drops   bool
	by      *line  // that ended it, or nil
	base    *chain // whose policy ended it
	matched []hit
	// passed are arms that did not match: had one, it might have gone otherwise.
	passed []*arm
	// acts are rules that matched and do more than to let through, drop or lead.
	acts []*line
}

// course follows a packet through the base chains of a hook, in their order.
func (m *model) course(p *point, bases []*chain) (c course) {
	for _, base := range bases {
		deep := []frame{{base, 0}}
		ended := false
		for len(deep) > 0 && !ended {
			top := &deep[len(deep)-1]
			if top.next == len(top.chain.lines) {
				deep = deep[:len(deep)-1]
				continue
			}
			l := top.chain.lines[top.next]
			top.next++
			a, box := c.meet(l, p)
			if a == nil {
				continue
			}
			c.matched = append(c.matched, hit{l, box, a})
			if l.acts != "" {
				c.acts = append(c.acts, l)
			}
			switch {
			case a.verdict == drops:
				c.drops, c.by = true, l
				return c
			case a.verdict == accepts:
				c.by, ended = l, true
			case a.verdict == returns:
				deep = deep[:len(deep)-1]
			case a.verdict == goes && a.to != nil:
				deep[len(deep)-1] = frame{a.to, 0}
			case a.to != nil:
				deep = append(deep, frame{a.to, 0})
			}
		}
		if !ended {
			if c.by, c.base = nil, base; base.of.Drops {
				c.drops = true
				return c
			}
		}
	}
	return c
}

// meet is the arm of a rule that has a packet, if it is known to.
func (c *course) meet(l *line, p *point) (*arm, *box) {
	for i := range l.arms {
		a := &l.arms[i]
		if box := a.has(p); box != nil {
			if !l.exact() {
				return nil, nil
			}
			return a, box
		}
		c.passed = append(c.passed, a)
	}
	return nil, nil
}

// hooked are the base chains at a hook, in their order.
func (m *model) hooked(hook string) (bases []*chain) {
	for _, table := range m.tables() {
		for _, c := range table.Chains {
			if c.Hook == hook {
				bases = append(bases, m.chains[c])
			}
		}
	}
	slices.SortStableFunc(bases, func(a, b *chain) int { return int(a.of.Priority) - int(b.of.Priority) })
	return bases
}
