package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// drawn is what a finding depends on where a rule on the way picked the source port by chance:
// another rule, or policy routing, that decides by it later, of the request, or of the answer that
// goes to that port.
func (c *recall) drawn(f *finding) (m rules.Memory, is bool, err error) {
	by, at, err := c.drawing(f)
	if err != nil || at == nil {
		return m, false, err
	}
	tells := c.tellsRequests
	if c.leg == evidence.Answer {
		tells = c.tellsAnswers
	}
	who, err := tells(f, by, at)
	if err != nil || who == nil {
		return m, false, err
	}
	return rules.Memory{Kind: rules.Chance, Text: fmt.Sprintf("%s decides by the source port, and %s", who, by)}, true, nil
}

// drawing is the first rule that picked the request's source port, and where; nil for none.
func (c *recall) drawing(f *finding) (by rules.Drawing, at *harness.Node, err error) {
	if f.from == nil || !f.Probe.kind.ports {
		return by, nil, nil
	}
	for _, node := range f.from.Lab().Nodes() {
		if node.Alone() || !f.leavesOtherwise(node) {
			continue
		}
		chains, err := c.prepared(node)
		if err != nil {
			return by, nil, err
		}
		all := chains.Draws()
		for _, passage := range f.met {
			if d, is := chains.Drawn(passage.Steps); is && passage.Node == node {
				all = []rules.Drawing{d}
			}
		}
		if len(all) == 0 {
			continue
		}
		by = all[0] // of a connection that was made before any may be
		if rule, ok := by.Rule.(*inspect.Rule); ok {
			by.Rule = c.words(node, rule)
		}
		return by, node, nil
	}
	return by, nil, nil
}

// leavesOtherwise says whether the request was seen with another source after it came to a node than
// before.
func (f *finding) leavesOtherwise(node *harness.Node) bool {
	first := f.requestAt(node)
	return first >= 0 && slices.ContainsFunc(f.Timeline[first:], func(s evidence.Sighting) bool {
		own := f.Timeline[first]
		return s.Role == evidence.Request && s.Node == node.Name() && (s.Source != own.Source || s.SourcePort != own.SourcePort)
	})
}

// tellsRequests is who tells the request apart by a port that was picked before it came there; nil
// for nobody.
func (c *recall) tellsRequests(f *finding, by rules.Drawing, at *harness.Node) (fmt.Stringer, error) {
	for _, passage := range f.met {
		if passage.Node != at && !by.Holds(passage.Packet.SourcePort) {
			continue
		}
		chains, err := c.prepared(passage.Node)
		if err != nil {
			return nil, err
		}
		for _, choice := range chains.ChoosingDrawn(c.packetOf(f, passage), passage.Steps, by, passage.Node == at) {
			if rule, ok := choice.Rule.(*inspect.Rule); ok {
				return c.words(passage.Node, rule), nil
			}
			return choice.Rule, nil
		}
	}
	return c.leadsDrawn(f, by, at)
}

// leadsDrawn is the policy routing that leads the request another way by a port that is picked; nil
// for none.
func (c *recall) leadsDrawn(f *finding, by rules.Drawing, drawn *harness.Node) (fmt.Stringer, error) {
	for _, node := range f.from.Lab().Nodes() {
		at := f.requestAt(node)
		if at < 0 || node == f.from || node == drawn || node.Alone() || !by.Holds(f.Timeline[at].SourcePort) {
			continue
		}
		routing, err := c.routingOf(node)
		if err != nil {
			return nil, err
		}
		if !routing.chosen {
			continue
		}
		q := questionOf(f, node, at)
		q.SourcePort = f.Timeline[at].SourcePort
		for _, choice := range routing.choices(q, f.fixed&^rules.SourcePort) {
			if choice.Traits&rules.SourcePort != 0 && by.Tells(choice) {
				return choice.Rule, nil
			}
		}
	}
	return nil, nil
}

// tellsAnswers is who tells apart the answers that go to ports that were picked; nil for nobody.
func (c *recall) tellsAnswers(f *finding, by rules.Drawing, _ *harness.Node) (fmt.Stringer, error) {
	for _, passage := range f.metBack {
		set, err := c.rulesetOf(passage.Node)
		if err != nil {
			return nil, err
		}
		p := c.packetOf(f, passage)
		if p.DstPort == nil || !by.Holds(*p.DstPort) {
			continue
		}
		if by.TellsAnswers(set, p) {
			return rulesOf{passage.Node}, nil
		}
	}
	return nil, nil
}

// rulesOf are those of a node, in a sentence.
type rulesOf struct{ *harness.Node }

func (r rulesOf) String() string { return "a rule of " + r.Node.String() }
