package policy

import "slices"

// course is a packet's way through all base chains of a hook, as the model has it.
type course struct {
	drops   bool
	by      *line  // that ended it, or nil
	base    *chain // whose policy ended it
	matched []hit
	// passed are arms that did not match: had one, it might have gone otherwise; passedBy are their rules.
	passed   []*arm
	passedBy []*line
	// to is what it was to come to, reached that it did, before how many it had passed by then.
	to      goal
	reached bool
	before  int
	bases   int // of the hook
	// may are those of which it is not known whether they match: they are taken not to, but for the one that it was to come to.
	may []hit
	// acts are rules that matched and do more than to let through, drop or lead.
	acts []*line
	did  []string // what those do
}

// courseOf follows a packet through the base chains of a hook, in their order.
func courseOf(p *point, bases []*chain) (c course) { return courseTo(p, bases, goal{}) }

// courseTo does, and notes whether it comes to a goal.
func courseTo(p *point, bases []*chain, g goal) (c course) {
	c.to, c.bases = g, len(bases)
	for _, base := range bases {
		if c.through(p, base); c.drops {
			break
		}
	}
	return c
}

// through follows it through one base chain.
func (c *course) through(p *point, base *chain) {
	deep := stack{{base, 0}}
	for l := deep.next(); l != nil; l = deep.next() {
		a, box := c.meet(l, p)
		if a == nil {
			continue
		}
		h := hit{line: l, box: box, arm: a}
		if l == c.to.line {
			c.reaches()
		}
		if l.acts != "" {
			var did string
			did, h.within = l.does(p)
			c.acts, c.did = append(c.acts, l), append(c.did, did)
		}
		c.matched = append(c.matched, h)
		if a.verdict.ends() {
			c.by, c.drops = l, a.verdict == drops
			return
		}
		deep.follow(a)
	}
	if c.to.line == nil && base == c.to.base {
		c.reaches()
	}
	c.by, c.base, c.drops = nil, base, base.of.Drops
}

func (c *course) reaches() {
	if !c.reached {
		c.reached, c.before = true, len(c.passed)
	}
}

// meet is the arm of a rule that has a packet, if it is known to.
func (c *course) meet(l *line, p *point) (*arm, *box) {
	for i := range l.arms {
		a := &l.arms[i]
		if box := a.has(p); box != nil {
			if !l.exact() && l != c.to.line {
				if a.verdict != goesOn || l.acts != "" {
					c.may = append(c.may, hit{line: l, box: box, arm: a})
				}
				return nil, nil
			}
			return a, box
		}
		if a.verdict != goesOn || l.acts != "" {
			c.passed, c.passedBy = append(c.passed, a), append(c.passedBy, l)
		}
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
