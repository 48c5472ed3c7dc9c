package policy

import "slices"

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
	// lasts are the last ones of each of its ways: it has several where a rule that is not modelled may lead it.
	lasts []hit
	// evaders are rules that did not match, and would have led it another way.
	evaders []*arm
	// unsure says that a rule which is not modelled might have led it to the goal, may which that is, if it is known.
	unsure bool
	may    *line
	// mayReach says that it comes to the goal if that one leads it so.
	mayReach bool
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
	last  hit // that led it where it is
	ways  []way
}

// way is another one that a packet may have gone, from a rule on that is not modelled.
type way struct {
	deep stack
	last hit
	by   *line
}

// mostWays bounds how many ways of one packet are followed.
const mostWays = 64

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

// leadsTo says whether rules that are still to come may lead to a goal.
func (s stack) leadsTo(g goal) bool {
	return g.line == nil || slices.ContainsFunc(s, func(f frame) bool { return f.next <= f.chain.lastTo(g.chain()) })
}

// lastTo is the position of the last rule of a chain that is in another, or leads there; -1 for none.
func (c *chain) lastTo(to *chain) int {
	if c == to {
		return len(c.lines)
	}
	last, known := c.lasts[to]
	if known {
		return last
	}
	last = -1
	for i, l := range c.lines {
		if slices.ContainsFunc(l.arms, func(a arm) bool { return a.to != nil && (a.to == to || a.to.leads[to]) }) {
			last = i
		}
	}
	c.lasts[to] = last
	return last
}

// walk follows a packet through base chains, of which the last is the goal's.
func walk(p *point, before []*chain, g goal) run {
	w := &walker{p: p, goal: g}
	w.early = true
	for _, base := range before {
		if w.through(base) == drops {
			w.end()
			return w.run
		}
	}
	w.early = false
	w.through(g.base)
	w.end()
	for n := 0; len(w.ways) > 0 && !w.run.reached; n++ {
		top := len(w.ways) - 1
		other := w.ways[top]
		w.deep, w.last, w.ways = other.deep, other.last, w.ways[:top]
		if w.course(g.base); w.run.reached || n == mostWays {
			w.run.mayReach = w.run.reached
			w.run.reached, w.run.unsure, w.run.may = false, true, other.by
			break
		}
		w.end()
	}
	return w.run
}

// end notes who led it last, at the end of one of its ways.
func (w *walker) end() {
	if w.last.line != nil {
		w.run.lasts = append(w.run.lasts, w.last)
	}
}

// met is a rule that leads the packet on, on the way that it goes.
func (w *walker) met(h hit) {
	w.run.matched, w.last = append(w.run.matched, h), h
}

// through follows it through one base chain, and says how it ended.
func (w *walker) through(base *chain) verdict {
	kept, last := len(w.run.matched), w.last
	w.deep = append(w.deep[:0], frame{base, 0})
	v := w.course(base)
	if base != w.goal.base && v == accepts {
		w.run.matched, w.last = w.run.matched[:kept], last // which need not have been so
	}
	return v
}

// course follows it from where it is to the end of a base chain, and says how it ended.
func (w *walker) course(base *chain) verdict {
	for l := w.deep.next(); l != nil; l = w.deep.next() {
		if l == w.goal.line && base == w.goal.base && l.arm(w.p) != nil {
			w.run.reached = true
			return accepts
		}
		if v := w.line(l); v.ends() {
			return v
		}
	}
	if base == w.goal.base {
		w.run.reached = w.goal.line == nil
		return accepts
	}
	if base.of.Drops {
		return drops
	}
	return accepts
}

// line passes one rule. Where one that is not modelled may lead it to the goal, it goes there first.
func (w *walker) line(l *line) verdict {
	var led *hit
	for i := range l.arms {
		a := &l.arms[i]
		if a.verdict == goesOn {
			continue
		}
		leads := a.to != nil && (a.to == w.goal.chain() || a.to.leads[w.goal.chain()])
		evades := a.verdict == returns || a.verdict == goes || leads || w.early && a.verdict != drops
		h := hit{line: l, box: a.has(w.p), arm: a}
		switch {
		case h.box == nil && evades:
			w.run.evaders = append(w.run.evaders, a)
		case h.box == nil:
		case l.exact():
			w.met(h)
			if a.verdict.ends() {
				return a.verdict
			}
			w.deep.follow(a)
			return goesOn
		case leads && led == nil:
			led = &h
		case evades:
			w.mayFollow(h)
		}
	}
	if led != nil {
		w.part(l, w.last)
		w.met(*led)
		w.deep.follow(led.arm)
	}
	return goesOn
}

// part has it go on later as if a rule that is not modelled did not match.
func (w *walker) part(by *line, last hit) {
	if w.early || !by.narrows() {
		w.run.unsure = true
		return
	}
	w.ways = append(w.ways, way{slices.Clone(w.deep), last, by})
}

// mayFollow has it go later where a rule leads that is not modelled.
func (w *walker) mayFollow(h hit) {
	if deep := slices.Clone(w.deep); !w.early {
		if deep.follow(h.arm); !deep.leadsTo(w.goal) { // nor does it if the rule has the packet
			return
		}
	}
	w.part(h.line, h)
	if w.early || !h.line.narrows() {
		return
	}
	w.run.matched = append(w.run.matched, h)
	w.ways[len(w.ways)-1].deep.follow(h.arm)
}
