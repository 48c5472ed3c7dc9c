package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// Choice is a rule whose decision about a packet depends on what any program at the
// asker may choose, where another choice could have let the packet in.
type Choice struct {
	Traits Trait
	// Rule is its place.
	Rule fmt.Stringer
	// At is what the rule does when the packet is from a source port, for comparison, and
	// Edges are the ports where that may change.
	At    func(port uint16) string
	Edges func() []uint16
}

// choiceOf is one by a rule, with the packet as it is there.
func choiceOf(traits Trait, l *line, p Packet) Choice {
	at := func(port uint16) string {
		p := p
		p.SrcPort = &port
		matches, verdicts, _ := l.evaluate(&p)
		return fmt.Sprint(matches, verdicts)
	}
	return Choice{traits, l.place, at, func() []uint16 { return sourcePorts(l.place) }}
}

// sourcePorts are those that a rule names.
func sourcePorts(rule fmt.Stringer) (ports []uint16) {
	n := &names{}
	switch rule := rule.(type) {
	case *inspect.Rule:
		n.rule(rule)
	case *inspect.LegacyRule:
		n.legacy(rule)
	}
	for _, p := range n.found {
		if p.Source {
			ports = append(ports, p.Number)
		}
	}
	return ports
}

// String is `rule 3 of inet filter forward decides by the TTL`.
func (c Choice) String() string { return fmt.Sprintf("%s decides by %s", c.Rule, c.Traits) }

// Choosing are the rules by which a packet that a node dropped could have passed, had who
// sent it chosen other traits, or by which one that it passed on could have gone another
// way. The packet and the steps are as for Deciding. Traits that a rule looks at do not
// matter where it surely cannot let the packet in. Where the steps do not fit the rules,
// there is none: Deciding says so.
func (b *Chains) Choosing(p Packet, steps []Step) []Choice {
	d := &decision{book: b, packet: p, steps: steps, free: true}
	for len(d.steps) > 0 && d.section() {
	}
	return d.choices
}

// ChoosingLegacy is Choosing for a node with iptables-legacy, which nobody traces: by is
// the rule that ended the packet, or nil. Each rule counts that could match it, but of
// those behind by in its chain none.
func ChoosingLegacy(set *inspect.Ruleset, p Packet, by func(*inspect.LegacyRule) (is, behind bool)) (found []Choice) {
	p = p.free()
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			lines := legacyLines(table, chain, nil)
			if p.Hook = ""; chain.Policy != "" {
				p.Hook = strings.ToLower(chain.Name)
			}
			for i, rule := range chain.Rules {
				is, behind := by(rule)
				if behind {
					break
				}
				l := &lines.list[i]
				matches, verdicts, traits := l.evaluate(&p)
				drops := len(verdicts) == 1 && verdicts[0].Kind == expr.VerdictDrop
				if matches == No || traits == 0 || !l.matters || drops && !is {
					continue
				}
				found = append(found, choiceOf(traits, l, p))
			}
		}
	}
	return found
}

// Ports are source ports, one for each way in which the choices may decide by the port,
// those that were asked first. Of each rule the edges of its ranges are tried, and what its
// masks tell apart.
func Ports(choices []Choice, asked ...uint16) []uint16 {
	candidates := slices.Clone(asked)
	choices = slices.DeleteFunc(slices.Clone(choices), func(c Choice) bool { return c.Traits&SourcePort == 0 })
	for _, c := range choices {
		candidates = append(candidates, c.Edges()...)
	}
	const consecutive, unprivileged, bits = 16, 33000, 16
	for i := range uint16(consecutive) {
		candidates = append(candidates, unprivileged+i)
	}
	for i := range bits {
		candidates = append(candidates, asked[0]^1<<i, 1<<i)
	}
	var seen []string
	return slices.DeleteFunc(candidates, func(port uint16) bool {
		var does strings.Builder
		for _, c := range choices {
			does.WriteString(c.At(port) + ";")
		}
		if port == 0 || slices.Contains(seen, does.String()) {
			return true
		}
		seen = append(seen, does.String())
		return false
	})
}

// Told says whether a choice, which is about the source port alone, was seen to decide both ways
// among some ports.
func (c Choice) Told(ports []uint16) bool {
	return c.Traits == SourcePort && slices.ContainsFunc(ports, func(port uint16) bool { return c.At(port) != c.At(ports[0]) })
}
