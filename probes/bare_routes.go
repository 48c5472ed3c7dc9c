package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// routedPorts are the ports and protocols that a node's policy routing rules ask for: what
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
	for _, number := range portsAt(r) {
		p.Number, p.Source, p.Beside = number, source, uint32(number) < r.First || uint32(number) > r.Last
		edges = append(edges, p)
	}
	return edges
}

// portsAt are the first and the last port of a range, and those beside it.
func portsAt(r inspect.Range) (ports []uint16) {
	for _, number := range []uint32{r.First, r.Last, r.First - 1, r.Last + 1} {
		if port := uint16(number); port > 0 && uint32(port) == number && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}
