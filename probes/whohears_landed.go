package probes

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// landed is where a node's kernel was to deliver a datagram that came in: its rules may have given it another
// destination. What was delivered so, connection tracking knows; of what it does not know, by is the rule that
// sends it elsewhere.
func landed(node *harness.Node, s evidence.Sighting) (to netip.AddrPort, by fmt.Stringer, err error) {
	to = netip.AddrPortFrom(s.Destination, s.DestinationPort)
	set, err := rulesetWith(node, nil) // of those of iptables-legacy it is not asked
	if err != nil {
		return to, nil, err
	}
	rule := rules.Redirecting(set, packetIn(s))
	if rule == nil {
		return to, nil, nil
	}
	ns := inspect.Namespace{Handle: node.Netlink(), Do: node.Do}
	at, is, err := ns.Delivered(s.Protocol, netip.AddrPortFrom(s.Source, s.SourcePort), to)
	if err != nil || is {
		return at, nil, err
	}
	return to, rule, nil
}

// packetIn is what rules can ask of a datagram that came in.
func packetIn(s evidence.Sighting) rules.Packet {
	return rules.Packet{
		Src: s.Source, Dst: s.Destination, Protocol: &s.Protocol, SrcPort: &s.SourcePort, DstPort: &s.DestinationPort,
		In: rules.Interface{Name: s.Interface}, Foreign: true, Hook: "prerouting",
	}
}
