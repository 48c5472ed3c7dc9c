package policy

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// doubts are the rules by which a packet would have gone otherwise another time, and which no text has changed:
// what such do at two nodes may differ though the texts do not.
func (c *comparison) doubts(of *cover, side int, v *Verdict) (all []rules.Memory) {
	for _, m := range append(of.deciding(v), of.metMemories(v)...) {
		rule, is := m.Rule.(*inspect.Rule)
		if e := of.same[rule]; e != nil {
			rule = e.of
			m.Rule = rule
		}
		if is && !c.changed.lines[side][rule] {
			all = append(all, m)
		}
	}
	return all
}

// metMemories are the rules that a packet matched, and would not another time.
func (c *cover) metMemories(v *Verdict) (all []rules.Memory) {
	for _, s := range v.heard.steps {
		e := c.byPlace[s.place]
		if e == nil || e.of == nil {
			continue
		}
		if m, remembers := rules.Remembers(e.of); remembers && m.Kind != rules.Users && !stays(m) {
			all = append(all, m)
		}
	}
	return all
}

// stays says whether a rule depends on no other time than when elements of sets end, long after it was tried.
func stays(m rules.Memory) bool {
	rule, is := m.Rule.(*inspect.Rule)
	return is && m.Kind == rules.Clock && !slices.ContainsFunc(rule.Exprs, func(x any) bool {
		lookup, asks := x.(*expr.Lookup)
		return rules.MemoryOf(rule, x).Kind == rules.Clock && (!asks || !rule.Chain.Table.Sets[lookup.SetName].Lasts(lasting))
	})
}

// deciding are the rules by which a packet may meet another verdict another time.
func (c *cover) deciding(v *Verdict) []rules.Memory {
	if c.book == nil {
		c.book = rules.Prepare(c.set)
	}
	return slices.DeleteFunc(c.book.Deciding(v.packet.known(), stepsOf(v.heard)), stays)
}

// stepsOf is what was heard, as rules has it.
func stepsOf(h *heard) (steps []rules.Step) {
	for _, s := range h.steps {
		step := rules.Step{Family: s.family, Table: s.table, Chain: s.chain, Handle: s.handle}
		if s.handle != 0 {
			step.Verdict = &expr.Verdict{Kind: expr.VerdictKind(s.verdict)}
		}
		steps = append(steps, step)
	}
	return steps
}

// comesBy says whether the other side's packet may have come by a rule like this before it was decided.
func (c *comparison) comesBy(side int, v *Verdict, rule *inspect.Rule) bool {
	if v.by == nil || v.by.of == nil || v.by.chain.Name != rule.Chain.Name || v.by.chain.Table.Family != rule.Chain.Table.Family {
		return true
	}
	key := c.sides[1-side].keys.shallow(rule)
	for _, r := range v.by.chain.Rules {
		switch {
		case c.sides[side].keys.shallow(r) == key:
			return true
		case r == v.by.of:
			return false
		}
	}
	return true
}

// known is what rules can ask of a packet, as it was sent.
func (p *Packet) known() rules.Packet {
	known := rules.Packet{Src: p.Source.Addr(), Dst: p.Destination.Addr(), Protocol: &p.Protocol, TTL: &p.TTL, Foreign: p.In != ""}
	known.In.Name, known.Out.Name = p.In, p.Out
	sport, dport := p.Source.Port(), p.Destination.Port()
	switch {
	case p.Short:
	case hasPorts(p.Protocol):
		known.SrcPort, known.DstPort = &sport, &dport
		if p.Protocol == protoTCP {
			known.Flags = &p.Flags
		}
	case icmp.has(small(uint64(p.Protocol))):
		known.Type, known.Code = &p.Type, &p.Code
	}
	return known
}

// drawn says whether NAT drew the port that a packet left with: it is another each time.
func drawn(first, again *Verdict) bool {
	return first.drew() && again.drew() && first.Source.Port() != again.Source.Port()
}

// drew says whether NAT gave the packet a port.
func (v *Verdict) drew() bool { return v.Passed && v.Source.Port() != v.packet.Source.Port() }

// remarkChanged says what of a rule that has changed is not seen by what became of one packet.
func (c *comparison) remarkChanged() {
	for side, of := range c.sides {
		for _, e := range of.entries {
			if e.of == nil || !c.changed.lines[side][e.of] || e.rule.Fate == Unreachable || e.rule.Fate == Shadowed {
				continue
			}
			if m, remembers := rules.Remembers(e.of); remembers && m.Kind != rules.Users {
				c.remark(remark{side, e.of, e.rule.where(), ", in another state: it depends on " + m.Text})
			}
			if what := unseen(e.of); what != "" {
				c.remark(remark{side, e.of, e.rule.where(), ": " + what})
			}
		}
	}
}

// unseen is what a rule does that a verdict does not tell; "" for nothing.
func unseen(r *inspect.Rule) string {
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Dup:
			return "the copy that it sends"
		case *expr.SynProxy:
			return "the connections that it opens for others"
		case *expr.Queue:
			return "what a program makes of the packet"
		case *expr.Exthdr:
			if x.SourceRegister != 0 {
				return "the option that it writes"
			}
		case *expr.Payload:
			if x.OperationType == expr.PayloadWrite && !isTold(x) {
				return "what it writes to the packet"
			}
		case *expr.Target:
			if what := targetsDo[x.Name]; what != "" {
				return what
			}
		}
	}
	return ""
}

// targetsDo is unseen for iptables' targets.
var targetsDo = map[string]string{
	"TEE": "the copy that it sends", "SYNPROXY": "the connections that it opens for others", "QUEUE": "what a program makes of the packet",
	"NFQUEUE": "what a program makes of the packet", "TCPMSS": "the option that it writes", "TCPOPTSTRIP": "the option that it takes away",
	"ECN": "what it writes to the packet", "CHECKSUM": "the checksum that it writes",
}

// isTold says whether a verdict tells of what is written: addresses, ports, TTL and traffic class.
func isTold(x *expr.Payload) bool {
	const ports, ttl4, addrs4, ttl6, addrs6 = 4, 8, 12, 7, 8
	switch {
	case x.Base == expr.PayloadBaseTransportHeader:
		return x.Offset+x.Len <= ports
	case x.Base != expr.PayloadBaseNetworkHeader:
		return false
	}
	return x.Offset+x.Len <= 2 || x.Offset >= addrs6 || slices.Contains([]uint32{ttl4, ttl6}, x.Offset)
}
