package watch

import (
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/wire"
)

// met is a rule that a packet met, read when the hops are.
type met struct {
	rule    *evidence.Rule
	effects []evidence.Effect
}

// met are the rules that a record tells of, in order.
func (h *hopping) met(r *record) (all []evidence.Passed) {
	p := h.pointOf(r.Node)
	for i, s := range r.steps {
		m := h.read(p, r, s)
		passed := evidence.Passed{Rule: m.rule, Effects: effectsOf(s, m.effects), Packets: 1}
		if s.Handle == 0 && i == len(r.steps)-1 && r.Drop != nil && r.Drop.Handle == 0 && r.Drop.Chain == s.Chain {
			passed.Effects = []evidence.Effect{evidence.Drops}
		}
		all = append(all, passed)
	}
	for _, e := range r.old {
		if passed, ok := h.old(r.Node, e); ok {
			all = append(all, passed)
		}
	}
	if d := r.Drop; d != nil && strings.HasSuffix(d.Family, "-legacy") {
		rule := h.trail.rule(account.End{Node: r.Node, Rule: d})
		all = append(all, evidence.Passed{Rule: rule, Effects: []evidence.Effect{evidence.Drops}, Packets: 1})
	}
	return all
}

// read is the rule of a step. One that is gone by now is known by its place alone.
func (h *hopping) read(p *point, r *record, s rules.Step) *met {
	key := ruleKey{byte(families[s.Family]), s.Table, s.Chain, s.Handle}
	at := hopRule{r.Node, key}
	if m := h.rules[at]; m != nil {
		return m
	}
	m := &met{rule: &evidence.Rule{Family: s.Family, Table: s.Table, Chain: s.Chain, Handle: s.Handle}}
	h.rules[at] = m
	if p == nil || s.Handle == 0 || !h.stands(p, r, key) {
		return m
	}
	found, err := p.rules.rule(key)
	if err != nil {
		return m
	}
	m.rule.Comment, m.rule.Rejects, m.effects = found.comment, found.rejects, found.effects
	m.rule.ReadLater(func() (text, iptables string) {
		now, err := p.rules.rule(key)
		if err != nil || !h.stands(p, r, key) || now.comment != found.comment || !slices.Equal(now.expressions, found.expressions) {
			return "", "" // it is gone by now
		}
		return textsFor(p.node, m.rule)
	})
	return m
}

// stands says whether a rule's table is still the one that the packet met.
func (h *hopping) stands(p *point, r *record, key ruleKey) bool {
	table := ruleKey{family: key.family, table: key.table}
	now, err := p.rules.tables()
	return err == nil && now[table] == r.tables[table]
}

// hopRule is a rule at a node.
type hopRule struct {
	node string
	ruleKey
}

// meets keeps what iptables-legacy tells of a packet that goes on, with the packet's record,
// which the flag's trace has made: the first that is of such a packet and has not got it.
func (t *Trail) meets(p *point, role role, e legacyEvent) {
	for _, r := range t.records {
		if r.Node == p.label && r.role == role && r.is(e.packet) && !slices.ContainsFunc(r.old, e.same) {
			r.old = append(r.old, e)
			return
		}
	}
}

// is says whether a record is of such a packet, as it was at the first of the node's hooks or at the last.
func (r *record) is(packet *wire.Packet) bool {
	id, own := packet.Identity(), r.Before.Identity
	return r.first != nil && (id == own || id == 0 || own == 0) && (r.first.Tuple() == packet.Tuple() || r.packet.Tuple() == packet.Tuple()) &&
		r.first.Seq == packet.Seq && r.first.Ack == packet.Ack && r.first.Flags == packet.Flags
}

// same says whether two events are of one rule.
func (e legacyEvent) same(other legacyEvent) bool {
	return e.place == other.place && e.kind == other.kind && e.number == other.number
}

// old is a rule of iptables-legacy that a packet met; false at the end of a chain that was
// jumped to.
func (h *hopping) old(node string, e legacyEvent) (evidence.Passed, bool) {
	c := e.chain
	if c == nil || e.kind == "return" {
		return evidence.Passed{}, false
	}
	key := hopRule{node, ruleKey{table: c.program + " " + c.table, chain: c.name, handle: uint64(e.number)}}
	if e.kind == "policy" && e.number > len(c.rules) {
		key.handle = 0
	}
	m := h.rules[key]
	if m == nil {
		m = c.met(int(key.handle))
		h.rules[key] = m
	}
	return evidence.Passed{Rule: m.rule, Effects: m.effects, Packets: 1}, true
}

// met is a rule by its number, or with 0 the policy.
func (c *legacyChain) met(number int) *met {
	m := &met{rule: c.at(number)}
	switch {
	case number == 0:
		m.effects = []evidence.Effect{evidence.Accepts}
	case number <= len(c.rules):
		m.effects = []evidence.Effect{evidence.Counts}
		if _, target := c.target(number); target != "" {
			effect, known := targetEffects[target]
			if !known {
				effect = evidence.Leads
			}
			m.effects = []evidence.Effect{effect}
		}
	}
	return m
}
