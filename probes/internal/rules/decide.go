package rules

import (
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// Step is one event of the kernel's trace of a packet: a rule that matched, or a base
// chain's policy.
type Step struct {
	// Family is nft's word, or iptables-legacy's program.
	Family, Table, Chain string
	// Handle is the rule's; for iptables-legacy its number; 0 for a policy.
	Handle uint64
	// Verdict is what the rule gave, with the chain where the trace tells it; nil where
	// it is not known, and then a rule that may give several makes the answer Unread.
	Verdict *expr.Verdict
}

// Deciding are the rules that remember and could, in another state, have let a packet
// through that a node dropped, or sent another way one that it passed on. The steps are
// the trace's at that node, in order, of the chains that the packet went through; the
// last one is where it ended, or left. The packet is as it came to the node (or was made
// there). Where a step is at no rule of the ruleset, which has changed then, the answer
// has one Memory of kind Unread.
//
// Only rules that the packet came by count, and among them not those that surely do not
// match it.
func Deciding(set *inspect.Ruleset, p Packet, steps []Step) []Memory {
	return Prepare(set).Deciding(p, steps)
}

// Deciding is the function Deciding for one of many packets.
func (b *Chains) Deciding(p Packet, steps []Step) []Memory {
	d := &decision{book: b, packet: p, steps: steps}
	for len(d.steps) > 0 {
		if !d.section() {
			return append(d.found, Memory{Kind: Unread, Text: "the rules have changed since, or the trace has a gap"})
		}
	}
	return d.found
}

// decision follows a packet's steps.
type decision struct {
	book   *Chains
	packet Packet
	steps  []Step
	found  []Memory

	free    bool // whether it is about choices
	untold  bool // whether the packet is tracked is not known
	choices []Choice
}

// frame is a chain that the packet is in, and the rule that is next there.
type frame struct {
	chain *lines
	next  int
}

// branch is a rule that could have decided otherwise, and what would have come of it.
type branch struct {
	memory Memory
	choice Choice // instead of it
	may    fate
	before int // how many changes the packet had seen by then
}

// matters says whether the other decision is another end: the packet had seen that many
// changes when it left the chain.
func (b branch) matters(end fate, changes int) bool {
	if end == dropped {
		return b.may&(accepted|copied) != 0
	}
	missed := b.may&accepted != 0 && changes > b.before // a change that it would not have seen
	return b.may&(changed|copied) != 0 || missed
}

// section follows the packet through one base chain and those it jumps to; false where
// the steps do not fit the rules.
func (d *decision) section() bool {
	base := d.chain(d.steps[0])
	if base == nil || base.hook == "" {
		return false
	}
	p := d.packet.forget(d.book.altered[base.table])
	p.Hook = base.hook
	met := p
	if d.free {
		p = p.free()
		if d.packet.State == nil && (d.untold || d.book.altered[base.table]&altersState != 0) {
			p.State = nil
		}
	}
	if expectedBy(d.book.expected, nil, met).Kind != 0 {
		p.State = nil // another time it may be related
	}
	s := &section{decision: d, packet: &met, guess: &guess{book: d.book, packet: &p, chains: map[*lines]fate{}}, stack: []frame{{base, 0}}, base: base}
	last, ok := s.run()
	if !ok {
		return false
	}
	for _, b := range s.branches {
		switch {
		case !b.matters(last, s.changes):
		case d.free:
			d.choices = append(d.choices, b.choice)
		default:
			d.found = append(d.found, b.memory)
		}
	}
	d.packet = d.packet.forget(s.altered)
	d.untold = d.untold || s.altered&altersState != 0
	return true
}

func (d *decision) chain(s Step) *lines { return d.book.chain(s.Family+" "+s.Table, s.Chain) }

// section is a packet's way through one base chain.
type section struct {
	*decision
	packet   *Packet // as it is; in the guess what is free is not known
	guess    *guess
	base     *lines
	stack    []frame
	branches []branch
	changes  int
	altered  alteration
}

// run follows the steps to the end of the base chain and says what came of it.
func (s *section) run() (end fate, ok bool) {
	for len(s.stack) > 0 {
		top := &s.stack[len(s.stack)-1]
		if top.next >= len(top.chain.list) {
			s.stack = s.stack[:len(s.stack)-1]
			continue
		}
		l := &top.chain.list[top.next]
		top.next++
		if end, over, ok := s.line(top.chain, l); over || !ok {
			return end, ok
		}
	}
	if len(s.steps) == 0 || s.chain(s.steps[0]) != s.base || s.steps[0].Handle != 0 {
		return 0, false
	}
	s.steps = s.steps[1:]
	if s.base.drops {
		return dropped, true
	}
	return accepted, true
}

// line passes one rule.
func (s *section) line(c *lines, l *line) (end fate, over, ok bool) {
	if len(s.steps) == 0 || s.chain(s.steps[0]) != c || s.steps[0].Handle != l.id {
		if s.open(l) {
			s.passed(c, l)
		}
		return 0, false, true
	}
	_, verdicts, _ := l.evaluate(s.packet)
	given := s.steps[0].Verdict
	s.steps = s.steps[1:]
	if s.open(l) {
		s.matched(c, l)
	}
	s.altered |= l.alters
	if s.book.turns(l) {
		s.changes++
	}
	return s.follow(verdicts, given)
}

// passed is at a rule that did not match, and could have.
func (s *section) passed(c *lines, l *line) {
	answer, verdicts, by := l.evaluate(s.guess.packet)
	if answer == No || s.free && by == 0 {
		return
	}
	may, stays := s.guess.matched(c, l, verdicts)
	s.branch(l, by, s.onwards(may, stays))
}

// matched is at a rule that did match, and could have not, or could have done else.
func (s *section) matched(c *lines, l *line) {
	answer, verdicts, by := l.evaluate(s.guess.packet)
	if s.free && by == 0 || !s.free && l.sure(answer, verdicts) {
		return
	}
	may := s.onwards(0, true)
	if len(verdicts) > 1 || l.alters != 0 {
		other, stays := s.guess.matched(c, l, verdicts)
		may |= s.onwards(other, stays)
	}
	s.branch(l, by, may)
}

// open says whether a rule could decide otherwise.
func (s *section) open(l *line) bool {
	if s.free {
		return l.matters
	}
	return s.memory(l).Kind != 0
}

// memory is what a rule's decision about the packet depends on, besides it.
func (s *section) memory(l *line) Memory {
	if l.expected && (l.memory.Kind == 0 || l.memory.Kind == Users) {
		if by := expectedBy(s.book.expected, l.place, *s.packet); by.Kind != 0 {
			return by
		}
	}
	return l.memory
}

func (s *section) branch(l *line, by Trait, may fate) {
	s.branches = append(s.branches, branch{s.memory(l), choiceOf(by, l, *s.guess.packet), may, s.changes})
}

// onwards is the fate of a packet that a rule did may to, when it comes back to the
// chains that it came through.
func (s *section) onwards(may fate, stays bool) fate {
	for i := len(s.stack) - 1; i >= 0; i-- {
		if stays {
			may |= s.guess.from(s.stack[i].chain, s.stack[i].next)
		}
		if stays = may&returned != 0; !stays {
			return may
		}
		may &^= returned
	}
	if s.base.drops {
		return may | dropped
	}
	return may | accepted
}

// follow goes where the rule's verdict led.
func (s *section) follow(verdicts []expr.Verdict, given *expr.Verdict) (end fate, over, ok bool) {
	v, ok := s.choose(verdicts, given)
	if !ok {
		return 0, true, false
	}
	switch v.Kind {
	case expr.VerdictAccept, expr.VerdictStop, expr.VerdictQueue:
		return accepted, true, true
	case expr.VerdictDrop, expr.VerdictStolen:
		return dropped, true, true
	case expr.VerdictReturn:
		s.stack = s.stack[:len(s.stack)-1]
	case expr.VerdictJump, expr.VerdictGoto:
		to := s.book.chain(s.base.table, v.Chain)
		if to == nil {
			return 0, true, false
		}
		if v.Kind == expr.VerdictGoto {
			s.stack = s.stack[:len(s.stack)-1]
		}
		s.stack = append(s.stack, frame{to, 0})
	}
	return 0, false, true
}

// choose is the verdict that was given; false where that cannot be told. Where the trace
// has a jump without its chain, the next step may tell it.
func (s *section) choose(verdicts []expr.Verdict, given *expr.Verdict) (expr.Verdict, bool) {
	jumps := func(v expr.Verdict) bool { return v.Kind == expr.VerdictJump || v.Kind == expr.VerdictGoto }
	switch {
	case given != nil && (!jumps(*given) || given.Chain != ""):
		return *given, true
	case len(verdicts) == 0:
		return expr.Verdict{Kind: expr.VerdictContinue}, true
	case len(verdicts) == 1:
		return verdicts[0], true
	}
	for _, v := range verdicts {
		if len(s.steps) > 0 && jumps(v) && s.steps[0].Chain == v.Chain && (given == nil || given.Kind == v.Kind) {
			return v, true
		}
	}
	return expr.Verdict{}, false
}
