package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
)

// mostPorts bounds from how many source ports a probe is asked.
const mostPorts = 12

// choices are the rules by which a finding might have ended otherwise, had who sent it chosen
// what any program may choose.
func (c *recall) choices(f *finding) (found []rules.Choice, err error) {
	reach, err := c.reachOf(f)
	if err != nil {
		return nil, err
	}
	for _, passage := range f.met {
		chains, err := c.prepared(passage.Node)
		if err != nil {
			return nil, err
		}
		packet := c.packetOf(f, passage)
		packet.MostTTL = reach.most(int(passage.Packet.TTL))
		for _, choice := range chains.Choosing(packet, passage.Steps) {
			if rule, ok := choice.Rule.(*inspect.Rule); ok {
				choice.Rule = c.words(passage.Node, rule)
			}
			found = append(found, choice)
		}
	}
	legacy, err := c.legacyChoices(f, reach)
	if err != nil {
		return nil, err
	}
	routed, err := c.routeChoices(f)
	return append(append(found, legacy...), routed...), err
}

// words is a rule that says its text, which is read when it is first wanted.
func (c *recall) words(node *harness.Node, rule *inspect.Rule) *evidence.Rule {
	if c.texts[rule] == nil {
		table := rule.Chain.Table
		text := &evidence.Rule{Family: table.Family, Table: table.Name, Chain: rule.Chain.Name, Handle: rule.Handle, Comment: rule.Comment}
		text.ReadLater(func() (string, string) { return watch.RuleText(node, text), "" })
		c.texts[rule] = text
	}
	return c.texts[rule]
}

// legacyChoices are those of iptables-legacy.
func (c *recall) legacyChoices(f *finding, reach reach) (found []rules.Choice, err error) {
	err = c.legacyNodes(f, func(set *inspect.Ruleset, s evidence.Sighting) {
		packet := legacyPacket(f, s)
		packet.MostTTL = reach.most(s.TTL)
		found = append(found, rules.ChoosingLegacy(set, packet, func(rule *inspect.LegacyRule) (is, behind bool) {
			return f.endedBy(rule), f.endedBefore(rule)
		})...)
	})
	return found, err
}

// legacyNodes are those that the request came by and that have tables of iptables-legacy.
func (c *recall) legacyNodes(f *finding, do func(*inspect.Ruleset, evidence.Sighting)) error {
	if f.from == nil {
		return nil
	}
	for _, node := range f.from.Lab().Nodes() {
		at := f.seenAt(node, c.leg)
		if at < 0 || node.Attached() {
			continue
		}
		if programs, err := c.legacyAt(node); err != nil || len(programs) == 0 {
			continue // of what cannot be told no rule was seen
		}
		set, err := c.rulesetOf(node)
		if err != nil {
			return err
		}
		do(set, f.Timeline[at])
	}
	return nil
}

// requestAt is where the timeline has the request at a node first; -1 for nowhere.
func (f *finding) requestAt(node *harness.Node) int { return f.seenAt(node, evidence.Request) }

// seenAt is where the timeline has a packet of a role at a node first; -1 for nowhere.
func (f *finding) seenAt(node *harness.Node, role evidence.Role) int {
	if role == evidence.Answer {
		role = f.roleBack()
	}
	return slices.IndexFunc(f.Timeline, func(s evidence.Sighting) bool { return s.Role == role && s.Node == node.Name() })
}

// roleBack is what came back: an answer, or else what refused it.
func (f *finding) roleBack() evidence.Role {
	if slices.ContainsFunc(f.Timeline, func(s evidence.Sighting) bool { return s.Role == evidence.Answer }) {
		return evidence.Answer
	}
	return evidence.Refusal
}

// otherPorts asks about a finding from other source ports, until every way in which rules
// tell them apart was seen. What else a program may choose is a doubt.
func (m *IsolationMatcher) otherPorts(q question, c *recall, f *finding) (more []finding, err error) {
	asked := []uint16{f.askedFrom()}
	var known []rules.Choice
	ask := func(f *finding) (bool, error) {
		choices, err := c.choices(f)
		for i, choice := range choices {
			if choice.Traits != rules.SourcePort || !f.Probe.kind.ports {
				f.choice = &choices[i]
			}
		}
		known = append(known, choices...)
		return f.choice == nil && len(known) > 0, err
	}
	if on, err := ask(f); err != nil || !on {
		return nil, err
	}
	own, err := listening(q.from)
	if err != nil {
		return nil, err
	}
	for {
		ports := rules.Ports(known, asked...)
		port := unasked(ports, asked, own[protocolOf(f.Probe)])
		if port == 0 || len(asked) > mostPorts {
			break
		}
		asked = append(asked, port)
		again, same, err := m.askFrom(port, q, *f)
		if err != nil {
			return nil, err
		}
		if more = append(more, again...); !same {
			return more, nil
		}
		if on, err := ask(&more[len(more)-1]); err != nil || !on {
			return more, err
		}
	}
	for i, choice := range known {
		if !choice.Told(asked) || len(asked) > mostPorts {
			f.choice = &known[i]
		}
	}
	return more, nil
}

// unasked is the first of ports that was not asked from, and that nobody at the asker has; 0
// for none.
func unasked(ports, asked []uint16, own map[uint16]bool) uint16 {
	for _, port := range ports {
		if !slices.Contains(asked, port) && !own[port] {
			return port
		}
	}
	return 0
}

// askFrom asks about a finding from another source port; same says whether it holds there too.
func (m *IsolationMatcher) askFrom(port uint16, q question, f finding) (again []finding, same bool, err error) {
	f.Probe = f.Probe.FromPort(port)
	if again, err = q.once(m.ctx, f); err != nil {
		return nil, false, err
	}
	is, _ := m.judge(again[0])
	return again, is == holds, nil
}

// askedFrom is the source port of a finding's request; where it is not known one that the
// kernel might have taken.
func (f *finding) askedFrom() uint16 {
	const ephemeral = 40001
	switch {
	case f.Probe.source.port != 0:
		return f.Probe.source.port
	case len(f.met) > 0 && f.met[0].Packet.SourcePort != 0:
		return f.met[0].Packet.SourcePort
	}
	for _, s := range f.Timeline {
		if s.Role == evidence.Request && s.SourcePort != 0 {
			return s.SourcePort
		}
	}
	return ephemeral
}

// protocolOf is the IP protocol of a probe with ports; 0 of ICMP, which has one a family.
func protocolOf(p Probe) uint8 {
	return map[wire.Protocol]uint8{wire.TCP: protoTCP, wire.UDP: protoUDP, wire.UDPLite: protoUDPLite, wire.SCTP: protoSCTP}[p.kind.protocol]
}

// named is what a rule is called beside the finding's cause: "this rule" where it is the one that
// was named there.
func (f *finding) named(rule fmt.Stringer) string {
	by := f.rule()
	if by == nil {
		return rule.String()
	}
	own := by.String() == rule.String()
	if r, ok := rule.(*inspect.Rule); ok {
		chain := r.Chain
		own = by.Handle == r.Handle && by.Family == chain.Table.Family && by.Table == chain.Table.Name && by.Chain == chain.Name
	}
	if own {
		return "this rule"
	}
	return rule.String()
}

// chosen is the objection to a finding that holds only as long as nobody chooses otherwise.
func chosen(f finding) (objection, bool) {
	if f.choice == nil {
		return objection{}, false
	}
	who := f.named(f.choice.Rule)
	why := fmt.Sprintf("%s decides by %s, which any program may choose", who, f.choice.Traits)
	if f.choice.Traits == rules.User {
		why = fmt.Sprintf("%s decides by %s: it says nothing of what others send", who, f.choice.Traits)
	}
	return objection{
		fmt.Sprintf("%s; but %s: BeIsolatedFrom cannot hold by it", endOf(f.Result), why),
		"isolate by addresses, interfaces, protocols or destination ports",
	}, true
}
