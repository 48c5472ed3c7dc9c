package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/internal/wire"
)

// rounds is how often another packet is tried for a rule that the last one did not meet.
const rounds = 6

// passed is a packet that came past all rules, and so opens a connection.
type passed struct {
	p  point
	in *world
}

// proposal is a packet that the model proposes for an entry.
type proposal struct {
	task
	entry  *entry
	search *search
	point  point
}

// run tries all.
func (c *cover) run(ctx context.Context) error {
	for range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		proposals := c.propose()
		if len(proposals) == 0 {
			break
		}
		c.try(proposals)
	}
	c.bursts()
	if err := c.refill(ctx); err != nil {
		return err
	}
	if err := c.connections(ctx); err != nil {
		return err
	}
	for _, e := range c.entries {
		if !e.done() {
			c.conclude(e)
		}
	}
	return nil
}

// propose is a packet for each entry that has met none.
func (c *cover) propose() (all []*proposal) {
	for _, e := range c.entries {
		for !e.done() && len(e.searches) > 0 {
			s := e.searches[0]
			p, byChance := s.first()
			if p == nil || s.isOf(p, stateEstablished, stateRelated) {
				e.searches = e.searches[1:]
				e.over = append(e.over, s)
				continue
			}
			made := &proposal{entry: e, search: s, point: s.plausible(*p)}
			made.packet = s.lengthen(s.packetOf(made.point))
			made.stays = made.packet.In == "lo"
			all = append(all, made)
			if byChance {
				e.chance = made
			}
			break
		}
	}
	return all
}

func (s *search) isOf(p *point, states ...uint64) bool {
	return s.effects.Tracks && slices.Contains(states, p[fieldState].lo)
}

// plausible is the packet that connection tracking takes for the state that is wanted: what has no
// connection is invalid if it resets one.
func (s *search) plausible(p point) point {
	if !s.effects.Tracks || p[fieldState].lo != stateInvalid || p[fieldHead].lo != headWhole {
		return p
	}
	switch p[fieldProto].lo {
	case protoTCP:
		if p[fieldFlags].lo == syn || p[fieldFlags].lo == ack {
			p[fieldFlags] = small(wire.RST)
		}
	case protoICMP:
		if p[fieldType].lo == 8 {
			p[fieldType] = small(0) // a reply
		}
	case protoICMPv6:
		if p[fieldType].lo == 128 {
			p[fieldType] = small(129)
		}
	}
	return p
}

// try sends proposals, and credits every rule that was met.
func (c *cover) try(proposals []*proposal) {
	var tasks []*task
	for _, p := range proposals {
		tasks = append(tasks, &p.task)
	}
	c.kernel.ask(tasks)
	c.sent += len(tasks)
	for _, p := range proposals {
		c.credit(&p.heard, []Packet{p.packet})
		if p.heard.passed() && p.packet.State == "new" {
			c.passed = append(c.passed, passed{p.point, p.search.world})
		}
		if !p.entry.done() {
			p.entry.met = c.fateOf(&p.heard)
			met := c.linesOf(p.search, &p.heard)
			p.entry.limit(p, met)
			if !p.search.shorten(met) {
				p.search.refuse(&p.point, met)
			}
		}
	}
}

// credit gives the rules that were met their fate.
func (c *cover) credit(h *heard, packets []Packet) {
	for _, s := range h.steps {
		e := c.byPlace[s.place]
		if e == nil || e.rule.Fate != NotModelled {
			continue
		}
		if e.rule.Fate = Matched; s.decides() {
			e.rule.Fate = Decided
		}
		e.rule.Why, e.rule.Witness = "", slices.Clone(packets)
		e.rule.With = c.verdict(&packets[len(packets)-1], h)
	}
}

// linesOf are the model's rules that a packet met, the last one first.
func (c *cover) linesOf(s *search, h *heard) (lines []*line) {
	for _, step := range slices.Backward(h.steps) {
		e := c.byPlace[step.place]
		if e == nil || e.of == nil {
			continue
		}
		if ch := s.chains[e.chain]; ch != nil {
			if l := ch.line(e.of); l != nil {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// fateOf says what became of a packet, as a clause.
func (c *cover) fateOf(h *heard) string {
	switch {
	case h.err != nil:
		return h.err.Error()
	case h.drops && len(h.steps) > 0:
		if e := c.byPlace[h.steps[len(h.steps)-1].place]; e != nil {
			return "dropped by " + e.rule.where()
		}
	case !h.ended && len(h.hooks) > 0:
		return "taken by the kernel after the hook " + h.hooks[len(h.hooks)-1]
	case !h.ended:
		return "not seen at any hook"
	}
	return "let through without it"
}

// conclude says of an entry that met no packet why.
func (c *cover) conclude(e *entry) {
	var led, never, shadowed int // led are the ways by which no packet comes
	var takers []string
	reasons := []string{}
	ways := slices.Concat(e.over, e.searches)
	for i, s := range ways {
		switch {
		case s.goal.chain() != s.goal.base && !s.goal.base.hands[s.goal.chain()]:
			led++
		case s.neverMeets(s.goal):
			never++
		case i < len(e.over) && s.tried <= mostTries && c.isShadowed(s, &takers):
			shadowed++
		default:
			reasons = append(reasons, s.why(e))
		}
	}
	switch all := len(ways); {
	case never == all:
		c.neverMet(e)
	case led+never+shadowed == all && len(takers) == 0:
		e.settle(Needs, "packets that are led to the chain "+e.chain.Name+": no rule that jumps there matches any")
	case led+never+shadowed == all:
		e.settle(Shadowed, "")
		e.rule.By = takers
	default:
		e.explain(reasons)
	}
}

// isShadowed says whether earlier rules take all, also of what this lab cannot send.
func (c *cover) isShadowed(s *search, takers *[]string) bool {
	all := s.newSearch(s.goal, s.ever(s.goal.base.of.Hook), s.rand)
	if all.next() != nil || all.unsure {
		return false
	}
	for _, l := range all.takers {
		if by := c.entryOf(l).rule.where(); !slices.Contains(*takers, by) {
			*takers = append(*takers, by)
		}
	}
	return true
}

// neverMeets says whether no packet that may ever be at the hook matches a rule.
func (w *world) neverMeets(g goal) bool {
	if g.line == nil {
		return false
	}
	for i := range g.line.arms {
		if len(w.possible(andAll(w.ever(g.base.of.Hook), g.line.arms[i].boxes))) > 0 {
			return false
		}
	}
	return true
}

// neverMet says why nothing meets a rule.
func (c *cover) neverMet(e *entry) {
	hook := ""
	for _, s := range slices.Concat(e.over, e.searches) {
		if s.goal.line != nil && s.goal.line.lacks != "" {
			e.settle(Needs, s.goal.line.lacks)
			return
		}
		if s.goal.line != nil && slices.ContainsFunc(s.goal.line.arms, func(a arm) bool { return len(s.possible(a.boxes)) > 0 }) {
			hook = s.goal.base.of.Hook
		}
	}
	if hook == "" {
		e.settle(Unreachable, "no packet has all that it asks for")
		return
	}
	e.settle(Unreachable, fmt.Sprintf("the kernel hands no packet with such addresses or interfaces to the hook %s", hook))
}

// why says what stands in the way of a rule that has packets.
func (s *search) why(e *entry) string {
	hook := s.goal.base.of.Hook
	reach := s.newSearch(s.goal, s.reachOf(s.goal.base.of), s.rand)
	switch {
	case s.goal.line != nil && !s.goal.line.exact() && e.met != "":
		return s.goal.line.whatLacks()
	case hook == "forward" && !s.forwards():
		return "needs a node that forwards"
	case len(reach.open) == 0 && s.goal.line.marked():
		return "needs a mark, which no rule sets"
	case len(reach.open) == 0:
		return "needs routes, addresses or interfaces that this lab has not: it sends no such packet through " + hook
	}
	p := reach.next()
	switch {
	case p == nil && !reach.unsure:
		return "needs a packet that earlier rules leave over; this lab sends none"
	case s.by != nil:
		return s.by.whatLacks()
	case e.met != "":
		if by := s.onlyBy(); by != nil {
			return by.whatLacks()
		}
		if e.rate != "" {
			return "needs packets that meet it in another state: it depends on " + e.rate
		}
		return "each packet that was tried was " + e.met
	case p == nil && reach.may != nil:
		return reach.may.whatLacks()
	case p != nil && s.isOf(p, stateEstablished, stateRelated):
		return "needs a connection in state " + stateWords[p[fieldState].lo] + " that these rules let open"
	}
	return "needs a packet that earlier rules leave over; this lab sends none"
}

// whatLacks says why a rule that is not modelled was not met.
func (l *line) whatLacks() string {
	lacks := slices.Concat(l.unknown, l.open)
	if len(l.needs) == len(lacks) {
		return "needs " + strings.Join(l.needs, ", ")
	}
	return "it has " + strings.Join(lacks, ", ")
}

// onlyBy is a rule that is not modelled, by which all packets come to the goal's chain; nil where others lead there.
func (s *search) onlyBy() (by *line) {
	for chain := range s.goal.base.leads {
		for _, l := range slices.Concat(chain.lines, s.goal.base.lines) {
			if !slices.ContainsFunc(l.arms, func(a arm) bool { return a.to == s.goal.chain() }) {
				continue
			}
			if by = l; l.exact() {
				return nil
			}
		}
	}
	return by
}

// marked says whether a rule is about packets with a mark alone.
func (l *line) marked() bool {
	return !slices.ContainsFunc(l.arms, func(a arm) bool {
		return slices.ContainsFunc(a.boxes, func(b box) bool { return b[fieldMark].has(small(0)) })
	})
}

// explain takes the reasons of all ways to a rule: one that says what is needed is told first.
func (e *entry) explain(reasons []string) {
	for _, r := range reasons {
		if need, is := strings.CutPrefix(r, "needs "); is {
			e.settle(Needs, need)
			return
		}
	}
	e.settle(NotModelled, strings.Join(slices.Compact(reasons), "; "))
}
