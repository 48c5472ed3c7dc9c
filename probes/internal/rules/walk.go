package rules

import (
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// line is a rule of either kind, as a packet's way through the chains needs it.
type line struct {
	id       uint64
	place    fmt.Stringer
	evaluate func(*Packet) (Answer, []expr.Verdict, Trait)
	matters  bool   // whether it matches matters to a packet
	memory   Memory // of kind 0 where it has none
	expected bool   // whether it tells an expected connection from another, and rules expect any
	alters   alteration
	copies   bool
	drawing  Drawing // without a Rule where it picks no source port by chance
}

// lines are a chain of either kind.
type lines struct {
	table, name string // the table with its family, or program
	hook        string // "" where rules jump to it
	drops       bool   // its policy
	list        []line
}

// Chains are a ruleset, prepared for many packets.
type Chains struct {
	by map[[2]string]*lines // by table and name
	// altered is what the rules of a table may change of a packet before it leaves one of
	// its chains. New addresses come with the last rule.
	altered map[string]alteration
	// reads is what of it any rule asks for, elsewhere what routing and others may.
	reads, elsewhere alteration
	draws            bool // whether any rule picks a source port by chance
	expected         []inspect.Expectation
}

func (b *Chains) add(c *lines) {
	b.by[[2]string{c.table, c.name}] = c
	for i := range c.list {
		b.altered[c.table] |= c.list[i].alters &^ altersAddress
		b.draws = b.draws || c.list[i].drawing.Rule != nil
	}
}

// chain is nil where there is none.
func (b *Chains) chain(table, name string) *lines { return b.by[[2]string{table, name}] }

// Prepare looks at each rule once.
func Prepare(set *inspect.Ruleset) *Chains {
	b := &Chains{by: map[[2]string]*lines{}, altered: map[string]alteration{}, elsewhere: altersMark, expected: set.Expectations()}
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			c := &lines{table: table.Family + " " + table.Name, name: chain.Name, hook: chain.Hook, drops: chain.Drops}
			for _, rule := range chain.Rules {
				l := line{id: rule.Handle, alters: alters(rule), copies: copies(rule)}
				l.memory, _ = Remembers(rule)
				l.drawing, _ = drawingOf(rule)
				l.evaluate = func(p *Packet) (Answer, []expr.Verdict, Trait) { return evaluate(rule, p) }
				l.place, l.matters = rule, consequent(rule)
				l.expected = len(b.expected) > 0 && l.matters && tellsExpected(rule)
				b.reads |= reads(rule)
				c.list = append(c.list, l)
			}
			b.add(c)
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			b.add(legacyLines(table, chain, b.expected))
			for _, rule := range chain.Rules {
				b.reads |= legacyReads(table, rule)
			}
		}
	}
	return b
}

func legacyLines(table *inspect.LegacyTable, chain *inspect.LegacyChain, expected []inspect.Expectation) *lines {
	c := &lines{table: table.Program + " " + table.Name, name: chain.Name, drops: chain.Policy == "DROP"}
	if chain.Policy != "" {
		c.hook = strings.ToLower(chain.Name)
	}
	for _, rule := range chain.Rules {
		l := line{id: uint64(rule.Number), copies: rule.Target == "TEE"}
		if table.Chain(rule.Target) == nil {
			l.alters = targetAlters(rule.Target)
		}
		l.memory, _ = RemembersLegacy(rule)
		l.drawing, _ = DrawnByLegacy(rule)
		verdicts := legacyVerdicts(table, rule)
		l.place, l.matters = rule, rule.Target != "" && (len(verdicts) > 0 || l.alters != 0 || l.copies)
		l.expected = len(expected) > 0 && l.matters && tellsExpectedLegacy(rule)
		l.evaluate = func(p *Packet) (Answer, []expr.Verdict, Trait) {
			return overTTLs(p, func(p *Packet) (Answer, []expr.Verdict, Trait) {
				answer, by := matchLegacy(rule, p)
				return answer, verdicts, by
			})
		}
		c.list = append(c.list, l)
	}
	return c
}

func legacyVerdicts(table *inspect.LegacyTable, rule *inspect.LegacyRule) []expr.Verdict {
	switch {
	case table.Chain(rule.Target) != nil && rule.Goto:
		return []expr.Verdict{{Kind: expr.VerdictGoto, Chain: rule.Target}}
	case table.Chain(rule.Target) != nil:
		return []expr.Verdict{{Kind: expr.VerdictJump, Chain: rule.Target}}
	case rule.Target == "RETURN":
		return []expr.Verdict{{Kind: expr.VerdictReturn}}
	case targetEnds(rule.Target) == ends:
		return []expr.Verdict{{Kind: targetVerdict(rule.Target)}}
	case targetEnds(rule.Target) == mayEnd:
		return []expr.Verdict{{Kind: expr.VerdictAccept}, {Kind: expr.VerdictDrop}, {Kind: expr.VerdictContinue}}
	}
	return nil
}

// fate is a set of what may become of a packet in a chain.
type fate uint

const (
	accepted fate = 1 << iota
	dropped
	returned // it comes to the chain's end
	changed  // on its way, so that later chains see another
	copied
)

// guess says what may become of a packet from a rule of a chain on, if nothing is known
// of what rules remember.
type guess struct {
	book   *Chains
	packet *Packet
	chains map[*lines]fate // of those gone through from their beginning
}

// from is the fate from the i-th rule on.
func (g *guess) from(c *lines, i int) (may fate) {
	for ; i < len(c.list); i++ {
		after, stays := g.line(c, &c.list[i])
		if may |= after; !stays {
			return may
		}
	}
	return may | returned
}

// through is the fate in a whole chain.
func (g *guess) through(c *lines) fate {
	if known, ok := g.chains[c]; ok {
		return known
	}
	g.chains[c] = accepted | dropped // a loop, which the kernel refuses
	may := g.from(c, 0)
	g.chains[c] = may
	return may
}

// line is what may come of one rule, and whether the next may be asked.
func (g *guess) line(c *lines, l *line) (may fate, stays bool) {
	matches, verdicts, _ := l.evaluate(g.packet)
	if matches == No {
		return 0, true
	}
	may, stays = g.matched(c, l, verdicts)
	return may, stays || !l.sure(matches, verdicts)
}

// sure says whether a rule that matches would do just that at any time: of what passes with
// time the answer tells it.
func (l *line) sure(matches Answer, verdicts []expr.Verdict) bool {
	timeless := l.memory.Kind == Clock && l.alters == 0 && len(verdicts) < 2
	return matches == Yes && (l.memory.Kind == 0 || timeless)
}

// matched is what comes of a rule that matches.
func (g *guess) matched(c *lines, l *line, verdicts []expr.Verdict) (may fate, stays bool) {
	if g.book.turns(l) {
		may |= changed
	}
	if l.copies {
		may |= copied
	}
	for _, verdict := range verdicts {
		after, next := g.verdict(c, verdict)
		may, stays = may|after, stays || next
	}
	return may, stays || len(verdicts) == 0
}

func (g *guess) verdict(c *lines, v expr.Verdict) (may fate, stays bool) {
	switch v.Kind {
	case expr.VerdictAccept, expr.VerdictStop:
		return accepted, false
	case expr.VerdictDrop, expr.VerdictStolen:
		return dropped, false
	case expr.VerdictReturn:
		return returned, false
	case expr.VerdictContinue, expr.VerdictBreak:
		return 0, true
	case expr.VerdictJump, expr.VerdictGoto:
		to := g.book.chain(c.table, v.Chain)
		if to == nil {
			return accepted | dropped, true
		}
		may = g.through(to)
		if v.Kind == expr.VerdictJump && may&returned != 0 {
			return may &^ returned, true
		}
		return may, false
	}
	return accepted | dropped, false // queued, or what is not known
}
