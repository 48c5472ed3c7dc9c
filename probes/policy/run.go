package policy

// goal is what a packet is looked for that meets it: a rule, reached through a base chain, or with
// no line that chain's policy.
type goal struct {
	base *chain
	line *line
}

func (g goal) chain() *chain {
	if g.line != nil {
		return g.line.in
	}
	return g.base
}

// run is a packet's way through the chains of a hook, as the model has it.
type run struct {
	reached bool
	// matched are the rules that led it where it is, in order; it ends at the last one.
	matched []hit
	// evaders are rules that did not match, and would have led it another way.
	evaders []*arm
	// unsure says that a rule which is not modelled might have led it another way.
	unsure bool
}

// hit is a rule that matched, by which box.
type hit struct {
	line *line
	box  *box
	arm  *arm
	// within is what of a map has the packet, where that says what the rule does with it.
	within *box
}

// walker follows one packet.
type walker struct {
	p    *point
	goal goal
	run  run
	deep stack
	// early is true in a base chain before the goal's, where who accepts lets it go on.
	early bool
}

// stack are the chains that a packet is in, the innermost last.
type stack []frame

// frame is a chain, and the rule that is next there.
type frame struct {
	chain *chain
	next  int
}

// next is the rule whose turn it is; nil where the packet is through with all chains.
func (s *stack) next() *line {
	for len(*s) > 0 {
		top := &(*s)[len(*s)-1]
		if top.next < len(top.chain.lines) {
			top.next++
			return top.chain.lines[top.next-1]
		}
		*s = (*s)[:len(*s)-1]
	}
	return nil
}

// follow goes where a verdict leads that does not end the packet's way.
func (s *stack) follow(a *arm) {
	top := len(*s) - 1
	switch {
	case a.verdict == returns:
		*s = (*s)[:top]
	case a.to == nil:
	case a.verdict == goes:
		(*s)[top] = frame{a.to, 0}
	default:
		*s = append(*s, frame{a.to, 0})
	}
}

// walk follows a packet through base chains, of which the last is the goal's.
func walk(p *point, before []*chain, g goal) run {
	w := &walker{p: p, goal: g}
	w.early = true
	for _, base := range before {
		if w.through(base) == drops {
			return w.run
		}
	}
	w.early = false
	w.through(g.base)
	return w.run
}

// through follows it through one base chain, and says how it ended.
func (w *walker) through(base *chain) verdict {
	kept := len(w.run.matched)
	w.deep = append(w.deep[:0], frame{base, 0})
	for l := w.deep.next(); l != nil; l = w.deep.next() {
		if l == w.goal.line && base == w.goal.base && l.arm(w.p) != nil {
			w.run.reached = true
			return accepts
		}
		switch w.line(l) {
		case accepts:
			if base != w.goal.base {
				w.run.matched = w.run.matched[:kept] // which need not have been so
			}
			return accepts
		case drops:
			return drops
		}
	}
	if base == w.goal.base {
		w.run.reached = w.goal.line == nil
		return accepts
	}
	if base.of.Drops {
		return drops
	}
	w.run.matched = w.run.matched[:kept]
	return accepts
}

// line passes one rule.
func (w *walker) line(l *line) verdict {
	for i := range l.arms {
		a := &l.arms[i]
		if a.verdict == goesOn {
			continue
		}
		leads := a.to != nil && (a.to == w.goal.chain() || a.to.leads[w.goal.chain()])
		evades := a.verdict == returns || a.verdict == goes || leads || w.early && a.verdict != drops
		box := a.has(w.p)
		switch {
		case box == nil && evades:
			w.run.evaders = append(w.run.evaders, a)
		case box == nil:
		case l.exact(), leads:
			w.run.unsure = w.run.unsure || !l.exact()
			w.run.matched = append(w.run.matched, hit{line: l, box: box, arm: a})
			if a.verdict.ends() {
				return a.verdict
			}
			w.deep.follow(a)
			return goesOn
		case evades:
			w.run.unsure = true
		}
	}
	return goesOn
}
