package topo

import (
	"fmt"
	"net/netip"
	"strings"
)

// Rule is a rule of policy routing (ip-rule(8)): which packets are asked, and in which
// table their route is looked up. What is left out asks for nothing.
type Rule struct {
	// Priority says when the rule is asked, lower first: 1 to 32765, before the table
	// main. Without it the node's rules are asked in order of declaration, from 10000 on.
	Priority int
	// Not turns the rule around: it is for packets that are not so.
	Not bool
	// From and To are addresses or prefixes, of one family. Without either the rule is
	// there for IPv4, and for IPv6 where the node has an IPv6 address.
	From, To string
	// In is where a packet came in; Out, what a socket is bound to.
	In, Out Interface
	// Mark is the packet's, in the bits of Mask; without Mask all of them.
	Mark, Mask uint32
	// TOS is the traffic class, of which IPv4 asks bits 1 to 4: 0x10.
	TOS int
	// Protocol is tcp, udp, icmp, ipv6-icmp, or a number.
	Protocol string
	// SourcePort and Port are ports, or ranges of them, "8000-8100", with Protocol tcp,
	// udp or another that has ports.
	SourcePort, Port string
	// UID is a user, or a range of them, "1000-2000", who sends.
	UID string
	// Table is the routing table, 1 to 2^32-1: 254 is main.
	Table int
	// Type, where it is not Unicast, ends the packet instead.
	Type RouteType
	// SuppressPrefixLength leaves routes of that prefix length, or less, out of the
	// table: 0 leaves out its default route, as wg-quick(8) does in main.
	SuppressPrefixLength *int
}

// Rule adds policy routing rules.
func (n *Node) Rule(rules ...Rule) *Node {
	for _, rule := range rules {
		if rule.SuppressPrefixLength != nil {
			rule.SuppressPrefixLength = new(*rule.SuppressPrefixLength)
		}
		n.rules = append(n.rules, rule)
	}
	return n
}

// RulePlan is a rule of policy routing in one family.
type RulePlan struct {
	IPv6                 bool
	Priority             int
	Not                  bool
	From, To             netip.Prefix // not valid for any
	In, Out              string       // names of interfaces
	Mark, Mask           uint32
	TOS, Protocol        uint8
	SourcePorts          [2]uint16 // the first and the last
	Ports                [2]uint16
	UIDs                 *[2]uint32
	Table                int
	Type                 RouteType // the packet's end, where it is not Unicast
	SuppressPrefixLength int       // -1 for none
}

// String is the rule as ip rule prints it.
func (r RulePlan) String() string {
	words := []string{fmt.Sprintf("%d:", r.Priority)}
	add := func(has bool, format string, args ...any) {
		if has {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(r.Not, "not")
	add(!r.From.IsValid(), "from all")
	add(r.From.IsValid(), "from %s", shortPrefix(r.From))
	add(r.To.IsValid(), "to %s", shortPrefix(r.To))
	add(r.TOS != 0, "tos %#x", r.TOS)
	add(r.Mask == 1<<32-1, "fwmark %#x", r.Mark)
	add(r.Mask != 0 && r.Mask != 1<<32-1, "fwmark %#x/%#x", r.Mark, r.Mask)
	add(r.In != "", "iif %s", r.In)
	add(r.Out != "", "oif %s", r.Out)
	if r.UIDs != nil {
		add(true, "uidrange %d-%d", r.UIDs[0], r.UIDs[1])
	}
	add(r.Protocol != 0, "ipproto %s", protocolName(r.Protocol))
	add(r.SourcePorts != [2]uint16{}, "sport %s", rangeText(r.SourcePorts))
	add(r.Ports != [2]uint16{}, "dport %s", rangeText(r.Ports))
	add(r.Type != Unicast, "%s", r.Type)
	add(r.Type == Unicast, "lookup %s", tableName(r.Table))
	add(r.SuppressPrefixLength >= 0, "suppress_prefixlength %d", r.SuppressPrefixLength)
	return strings.Join(words, " ")
}

func shortPrefix(prefix netip.Prefix) string {
	if prefix.IsSingleIP() {
		return prefix.Addr().String()
	}
	return prefix.String()
}

func rangeText(ports [2]uint16) string {
	if ports[0] == ports[1] {
		return fmt.Sprint(ports[0])
	}
	return fmt.Sprintf("%d-%d", ports[0], ports[1])
}

func tableName(table int) string {
	switch table {
	case localTable:
		return "local"
	case mainTable:
		return "main"
	case defaultTable:
		return "default"
	}
	return fmt.Sprint(table)
}

// The tables that every namespace has (linux/rtnetlink.h).
const (
	defaultTable = 253
	mainTable    = 254
	localTable   = 255
)

// protocols are those that go by a name (RFC 5237, IANA).
var protocols = []struct {
	name   string
	number uint8
	ports  bool
}{{"tcp", 6, true}, {"udp", 17, true}, {"icmp", 1, false}, {"ipv6-icmp", 58, false}, {"sctp", 132, true}, {"dccp", 33, true}}

func protocolName(number uint8) string {
	for _, p := range protocols {
		if p.number == number {
			return p.name
		}
	}
	return fmt.Sprint(number)
}
