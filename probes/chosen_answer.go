package probes

import (
	"fmt"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// answeredTo asks about a finding from other source ports, which are where its answers go: until
// every way in which the rules and the policy routing that these met tell them apart was seen.
func (m *IsolationMatcher) answeredTo(q question, c *recall, f *finding) (more []finding, err error) {
	if !f.Probe.kind.ports || f.from == nil || f.fixed&rules.SourcePort != 0 {
		return nil, nil
	}
	own, err := listening(q.from)
	if err != nil {
		return nil, err
	}
	asked := []uint16{f.askedFrom()}
	now := f
	for {
		ports, err := c.answerPorts(now)
		if err != nil {
			return nil, err
		}
		port := unasked(ports, asked, own[protocolOf(f.Probe)])
		if port == 0 {
			return more, nil
		}
		if len(asked) > mostPorts {
			f.doubt = rules.Memory{Kind: rules.Chance, Text: fmt.Sprintf("its rules tell more than %d of the asker's ports apart", mostPorts)}
			return more, nil
		}
		asked = append(asked, port)
		again, same, err := m.askFrom(port, q, *f)
		if err != nil {
			return nil, err
		}
		if more = append(more, again...); !same {
			return more, nil
		}
		now = &more[len(more)-1]
	}
}

// answerPorts are ports of the asker's, one for each way in which the nodes that an answer came by
// tell them apart.
func (c *recall) answerPorts(f *finding) (ports []uint16, err error) {
	for _, passage := range f.metBack {
		set, err := c.rulesetOf(passage.Node)
		if err != nil {
			return nil, err
		}
		ports = append(ports, rules.DestinationPorts(set, c.packetOf(f, passage))...)
	}
	err = c.legacyNodes(f, func(set *inspect.Ruleset, s evidence.Sighting) {
		ports = append(ports, rules.DestinationPorts(set, legacyPacket(f, s))...)
	})
	if err != nil {
		return nil, err
	}
	routed, err := c.portsBack(f)
	return append(ports, routed...), err
}

// portsBack are those by which policy routing may lead an answer another way.
func (c *recall) portsBack(f *finding) (ports []uint16, err error) {
	for _, node := range f.from.Lab().Nodes() {
		at := f.seenAt(node, evidence.Answer)
		if at < 0 || node.Alone() {
			continue
		}
		routing, err := c.routingOf(node)
		if err != nil {
			return nil, err
		}
		s := f.Timeline[at]
		q := inspect.Question{From: s.Source, To: s.Destination, In: s.Index, Mark: s.Mark, TOS: s.TOS, Protocol: protocolOf(f.Probe), SourcePort: s.SourcePort, Port: s.DestinationPort}
		if s.Direction == evidence.Out { // the node's own
			q.In = 0
		}
		now, _ := routing.Decide(q)
		for _, rule := range routing.PolicyRules {
			if rule.Ports == (inspect.Range{}) {
				continue
			}
			for _, port := range portsAt(rule.Ports) {
				other := q
				other.Port = port
				if then, ok := routing.Decide(other); ok && then.Route != now.Route {
					ports = append(ports, other.Port)
				}
			}
		}
	}
	return ports, nil
}
