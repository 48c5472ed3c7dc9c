package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
)

// Port is what a rule names: a port of a protocol, or a protocol alone.
type Port struct {
	// Family is 4 or 6, 0 where the rule is about both.
	Family int
	// Protocol is the upper one: 6 is TCP. A rule that says "th dport" names both TCP's
	// and UDP's.
	Protocol uint8
	// Number is the port; 0 where the rule names the protocol alone.
	Number uint16
	// Source is true for a source port.
	Source bool
	// Beside is true for a port that no rule names, but is the first one outside a range.
	Beside bool
	// Rule is the place of the first rule that names it.
	Rule fmt.Stringer
}

// String is "tcp/22", "udp from 53", or a protocol's name.
func (p Port) String() string {
	name := fmt.Sprintf("protocol %d", p.Protocol)
	if word, ok := protocolWords[p.Protocol]; ok {
		name = word
	}
	switch {
	case p.Number == 0:
		return name
	case p.Source:
		return fmt.Sprintf("%s from %d", name, p.Number)
	}
	return fmt.Sprintf("%s/%d", name, p.Number)
}

var protocolWords = map[uint8]string{1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 132: "sctp", 136: "udplite"}

// Named are the ports and protocols that rules name, those first that they name
// themselves, in the order of tables, chains and rules, then those beside a range. Tables
// of ARP and dormant ones have none.
func Named(set *inspect.Ruleset) []Port {
	n := &names{}
	for _, table := range set.Tables {
		if table.Family == "arp" || table.Dormant() {
			continue
		}
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				n.rule(rule)
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				n.legacy(rule)
			}
		}
	}
	return n.all()
}

// DestinationPorts are destination ports for such a packet, one for each way in which the rules
// tell them apart, but for the packet's own.
func DestinationPorts(set *inspect.Ruleset, p Packet) (ports []uint16) {
	if p.DstPort == nil || p.Protocol == nil {
		return nil
	}
	seen := []string{matching(set, p)}
	for _, named := range Named(set) {
		if named.Number == 0 || named.Source || named.Protocol != *p.Protocol {
			continue
		}
		p.DstPort = &named.Number
		if does := matching(set, p); !slices.Contains(seen, does) {
			seen, ports = append(seen, does), append(ports, named.Number)
		}
	}
	return ports
}

// matching is which rules match a packet.
func matching(set *inspect.Ruleset, p Packet) string {
	var does strings.Builder
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				does.WriteString(Match(rule, p).String())
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				does.WriteString(MatchLegacy(rule, p).String())
			}
		}
	}
	return does.String()
}

// names are those found so far.
type names struct{ found []Port }

// all are they without what is there already: the same port, or that of both families.
func (n *names) all() []Port {
	slices.SortStableFunc(n.found, func(a, b Port) int { return cmp.Compare(rank(a), rank(b)) })
	type key struct {
		family   int
		protocol uint8
		number   uint16
		source   bool
	}
	seen := map[key]bool{}
	var list []Port
	for _, p := range n.found {
		k := key{p.Family, p.Protocol, p.Number, p.Source}
		both := k
		both.family = 0
		if !seen[k] && !seen[both] {
			seen[k] = true
			list = append(list, p)
		}
	}
	return list
}

func rank(p Port) int {
	if p.Beside {
		return 1
	}
	return 0
}

// span is a range of ports, and whether its edges' neighbours are of interest.
type span struct {
	from, to uint16
	source   bool
}

// add adds a rule's: the spans' edges and their neighbours, for each protocol.
func (n *names) add(rule fmt.Stringer, family int, protocols []uint8, spans []span) {
	if len(spans) == 0 {
		for _, protocol := range protocols {
			n.found = append(n.found, Port{Family: family, Protocol: protocol, Rule: rule})
		}
		return
	}
	if len(protocols) == 0 {
		protocols = []uint8{protoTCP, protoUDP}
	}
	for _, s := range spans {
		for _, protocol := range protocols {
			n.span(Port{Family: family, Protocol: protocol, Source: s.source, Rule: rule}, s)
		}
	}
}

// span adds the edges of a span.
func (n *names) span(p Port, s span) {
	const last = 65535
	add := func(number uint16, beside bool) {
		if p.Number, p.Beside = number, beside; number != 0 {
			n.found = append(n.found, p)
		}
	}
	add(s.from, false)
	if s.to == s.from {
		return
	}
	add(s.to, false)
	if s.from > 1 {
		add(s.from-1, true)
	}
	if s.to < last {
		add(s.to+1, true)
	}
}
