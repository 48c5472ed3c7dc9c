package probes

import (
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// routedPorts are the ports and protocols that a node's rules of policy routing ask for: what
// has one of them may go another way. Of a range it is the edges, and the ports beside them.
func routedPorts(node *harness.Node) (named []rules.Port, err error) {
	all, err := inspect.Namespace{Do: node.Do, Handle: node.Netlink()}.PolicyRules()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node, err)
	}
	for i := range all {
		rule := &all[i]
		protocols := []uint8{rule.Protocol}
		if rule.Protocol == 0 {
			protocols = []uint8{protoTCP, protoUDP}
		}
		for _, protocol := range protocols {
			p := rules.Port{Family: map[bool]int{false: 4, true: 6}[rule.V6], Protocol: protocol, Rule: policyRule{rule}}
			named = append(named, edgesOf(p, rule.Ports, false)...)
			named = append(named, edgesOf(p, rule.SourcePorts, true)...)
			if rule.Protocol != 0 {
				named = append(named, p)
			}
		}
	}
	return named, nil
}

// edgesOf are those of a range of ports; the zero Range has none.
func edgesOf(p rules.Port, r inspect.Range, source bool) (edges []rules.Port) {
	if r == (inspect.Range{}) {
		return nil
	}
	add := func(number uint32, beside bool) {
		if number > 0 && number <= 1<<16-1 {
			p.Number, p.Source, p.Beside = uint16(number), source, beside
			edges = append(edges, p)
		}
	}
	add(r.First, false)
	if r.Last != r.First {
		add(r.Last, false)
	}
	add(r.First-1, true)
	add(r.Last+1, true)
	return edges
}
