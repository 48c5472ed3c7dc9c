package policy

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
)

// mostCourses bounds how many packets the model follows for one rule that has changed.
const mostCourses = 600

// differ proposes packets that come to what has changed, one for each pair of rules that decide.
func (c *comparison) differ() {
	for side, of := range c.sides {
		for _, w := range of.worlds {
			for _, base := range basesOf(of.set) {
				in := w.chains[base]
				if in == nil || !w.tries(base) {
					continue
				}
				c.explore(side, w, goal{base: in})
				for _, reached := range append([]*chain{in}, chainsOf(in)...) {
					for _, l := range reached.lines {
						if c.changed.lines[side][l.rule] {
							c.explore(side, w, goal{in, l})
						}
					}
				}
			}
		}
	}
}

func chainsOf(base *chain) (all []*chain) {
	for c := range base.leads {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *chain) int {
		return slices.Index(a.of.Table.Chains, a.of) - slices.Index(b.of.Table.Chains, b.of)
	})
	return all
}

// explore follows packets that match a rule which has changed, or come to a policy that has, through both
// rulesets, and divides them by what they met in each.
func (c *comparison) explore(side int, w *world, g goal) {
	if g.line == nil && !c.changed.bases[side][g.base.of] {
		return
	}
	other := c.sides[1-side].worlds[family(w.v6)]
	hook := g.base.of.Hook
	here, there := w.hooked(hook), other.hooked(hook)
	s := w.newSearch(g, w.reachOf(g.base.of), c.sides[side].rand)
	back := func(b box) box { return w.back(b, other) }
	if w.isNumbered(other) {
		back = func(b box) box { return b }
	}
	for {
		b, p, some := s.draw(mostCourses)
		if !some {
			break
		}
		q, ok := w.swap(p, other)
		if !ok {
			continue
		}
		own, its := courseTo(&p, here, g), courseOf(&q, there)
		key := fmt.Sprintf("%d %v %s | %s", side, w.v6, own.key(), its.key())
		if own.reached && (own.isOther(&its) || c.mayBe(&own, &its)) {
			c.propose(side, s, &b, p, key)
		}
		c.divide(s, b, &own, &its, back)
	}
	if len(s.open) > 0 {
		c.tooMuch(g)
	}
}

func family(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// tooMuch notes that not all that comes to a rule or a policy was followed.
func (c *comparison) tooMuch(g goal) {
	text := fmt.Sprintf("all that may come to the policy of %s: it is too much", g.base.of)
	if g.line != nil {
		text = fmt.Sprintf("all that %s matches: it is too much", g.line.rule)
	}
	c.note(text)
}

// key is who decided, and what else was done.
func (c *course) key() string {
	text := fmt.Sprintf("%v", c.drops)
	switch {
	case c.by != nil:
		text += " " + c.by.rule.String()
	case c.base != nil:
		text += " policy of " + c.base.of.String()
	}
	for i, l := range c.acts {
		text += " " + l.rule.String() + " " + c.did[i]
	}
	for _, h := range c.may {
		text += " or " + h.line.rule.String()
	}
	return text
}

// mayBe says whether a rule that may match decides in the other course alone.
func (c *comparison) mayBe(own, its *course) bool {
	return slices.ContainsFunc(its.may, func(h hit) bool {
		same := c.changed.other[h.line.rule]
		return !slices.ContainsFunc(own.may, func(o hit) bool { return o.line.rule == same })
	})
}

// isOther says whether the model takes two courses for two verdicts, or cannot tell.
func (c *course) isOther(its *course) bool {
	return c.drops != its.drops || !slices.Equal(c.did, its.did)
}

// mostAlike is how many packets are tried for a pair of rules: the plainest is told.
const mostAlike = 6

// propose keeps a packet for a pair of rules, or a connection that has one.
func (c *comparison) propose(side int, s *search, b *box, p point, key string) {
	if c.known[key]++; c.known[key] > mostAlike {
		return
	}
	for _, state := range s.statesOf(b, &p) {
		p[fieldState] = small(state)
		for _, row := range c.sides[side].rowsFor(s, b, p) {
			c.found = append(c.found, candidate{row, key, true})
		}
	}
}

// statesOf are the states that a packet of a box may have, each of which is tried, as not every one can be sent. Rules of NAT are asked about
// what begins a connection alone.
func (s *search) statesOf(b *box, p *point) (all []uint64) {
	if !s.effects.Tracks || s.goal.base.of.Type == "nat" {
		return []uint64{p[fieldState].lo}
	}
	at := *p
	for _, state := range statesInOrder {
		if at[fieldState] = small(state); b[fieldState].has(at[fieldState]) && s.cannot(&at) == nil {
			all = append(all, state)
		}
	}
	return all
}

// rowsFor are packets in rows, of which the last is one that the model proposes: alone, or after those that open a connection
// which has such.
func (c *cover) rowsFor(s *search, b *box, p point) (rows [][]Packet) {
	if !s.isOf(&p, stateEstablished, stateRelated) {
		return [][]Packet{{s.lengthen(s.packetOf(s.plausible(p)))}}
	}
	for _, plan := range c.plansIn(&entry{}, s, b, p[fieldState].lo) {
		var packets []Packet
		for _, at := range plan.points {
			packets = append(packets, s.packetOf(at))
		}
		if plan.quotes {
			packets[len(packets)-1].quote = &packets[0]
		}
		rows = append(rows, packets)
	}
	return rows
}

// swap makes a packet of this node the other's, whose interfaces have other indices.
func (w *world) swap(p point, other *world) (point, bool) {
	for _, f := range []field{fieldIn, fieldOut} {
		if p[f].lo == 0 {
			continue
		}
		link := other.state.LinkNamed(w.name(p[f]))
		if link.Index == 0 {
			return p, false
		}
		p[f] = small(uint64(link.Index))
	}
	return p, true
}

// back is a box of the other node with this one's interfaces.
func (w *world) back(b box, other *world) box {
	for _, f := range []field{fieldIn, fieldOut} {
		if b[f] == nil {
			continue
		}
		made := none()
		for _, l := range other.links {
			if own := w.state.LinkNamed(l.Name); own.Index != 0 && b[f].has(small(uint64(l.Index))) {
				made = append(made, span{small(uint64(own.Index)), small(uint64(own.Index))})
			}
		}
		if b[f].has(number{}) {
			made = append(made, span{})
		}
		b[f] = made.tidy()
	}
	return b
}

// isNumbered says whether two nodes' interfaces have the same indices.
func (w *world) isNumbered(other *world) bool {
	return slices.EqualFunc(w.links, other.links, func(a, b inspect.Link) bool { return a.Index == b.Index && a.Name == b.Name })
}

// divide puts back of a box what may go another way than a packet whose courses are known, and meet two verdicts by what its own is to
// come to. What ends before it comes there, or as it does, is of no interest; nor is what another rule would take
// in both: who says that is explored by itself.
func (c *comparison) divide(s *search, b box, own, its *course, back func(box) box) {
	for i, of := range []*course{own, its} {
		for _, h := range slices.Concat(of.matched, of.may) {
			if h.arm.verdict == goesOn && h.line.acts == "" {
				continue
			}
			for _, cut := range []*box{h.box, h.within} {
				if cut == nil {
					continue
				}
				part := *cut
				if i == 1 {
					part = back(part)
				}
				var some bool
				if b, some = s.part(b, &part); !some {
					return
				}
			}
		}
	}
	before := map[*inspect.Rule]bool{} // that end a packet's course before it comes there
	for i, a := range own.passed {
		if ends := a.verdict.ends(); ends && (!own.reached || i < own.before) {
			before[own.passedBy[i].rule] = true
		} else {
			s.meeting(b, a.boxes)
		}
	}
	for i, a := range its.passed {
		l := its.passedBy[i]
		if before[c.changed.other[l.rule]] || own.isAlike(its, l, a) {
			continue
		}
		for j := range a.boxes {
			s.meeting(b, []box{back(a.boxes[j])})
		}
	}
}

// isAlike says whether a rule that the other course passed would end it as this one ended.
func (c *course) isAlike(its *course, l *line, a *arm) bool {
	if !c.reached || !a.verdict.ends() || l.acts != "" || len(c.acts) > 0 || len(its.acts) > 0 {
		return false
	}
	return c.drops == (a.verdict == drops) && (c.drops || its.bases == 1)
}
