package probes

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// legacyTimes is times with the rules of iptables-legacy at the nodes that the request came
// by. Which of them it met nobody traces: each counts that could match it, but those behind
// the rule that ended it.
func (c *recall) legacyTimes(f *finding, times int) (int, error) {
	err := c.legacyNodes(f, func(set *inspect.Ruleset, s evidence.Sighting) {
		packet := legacyPacket(f, s)
		for _, rule := range f.metLegacy(set, packet) {
			memory, remembers := rules.RemembersLegacyOf(set, rule, packet)
			switch n := c.timesOf(memory); {
			case f.chose(memory):
			case !remembers || f.doubt.Kind != 0:
			case n == 0:
				f.doubt, times = memory, 1
			default:
				times, f.again = max(times, n), memory
			}
		}
	})
	return times, err
}

// legacyAt are the programs of iptables-legacy that have tables at a node.
func (c *recall) legacyAt(node *harness.Node) (programs []string, err error) {
	programs, known := c.legacy[node]
	if !known {
		if programs, err = watch.LegacyPrograms(node); err == nil {
			c.legacy[node] = programs
		}
	}
	return programs, err
}

// metLegacy are the rules that may have matched the packet.
func (f *finding) metLegacy(set *inspect.Ruleset, p rules.Packet) (met []*inspect.LegacyRule) {
	for _, table := range set.Legacy {
		if (table.Program == "ip6tables-legacy") != p.Dst.Is6() {
			continue
		}
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				if f.endedBefore(rule) {
					break
				}
				if rules.MatchLegacy(rule, p) != rules.No {
					met = append(met, rule)
				}
			}
		}
	}
	return met
}

// rule is the one that ended the request; nil where none did: what is answered has no cause.
func (f *finding) rule() *evidence.Rule {
	if f.Cause == nil {
		return nil
	}
	return f.Cause.Rule
}

// endedBy says whether a rule ended the request.
func (f *finding) endedBy(rule *inspect.LegacyRule) bool {
	by := f.rule()
	return by != nil && by.Family == rule.Chain.Table.Program && by.Table == rule.Chain.Table.Name && by.Chain == rule.Chain.Name &&
		uint64(rule.Number) == by.Handle
}

// endedBefore says whether a rule before this one, in its chain, ended the request.
func (f *finding) endedBefore(rule *inspect.LegacyRule) bool {
	by := f.rule()
	return by != nil && !by.IsPolicy() && by.Family == rule.Chain.Table.Program && by.Table == rule.Chain.Table.Name &&
		by.Chain == rule.Chain.Name && uint64(rule.Number) > by.Handle
}

// legacyPacket is what is known of the request, or of its answer, at a node.
func legacyPacket(f *finding, s evidence.Sighting) rules.Packet {
	p := rules.Packet{Src: s.Source, Dst: s.Destination, Foreign: s.Direction == evidence.In}
	protocol := protocolOf(f.Probe)
	switch {
	case f.Probe.upper != 0:
		protocol = f.Probe.upper
		p.Protocol = &protocol
	case protocol != 0:
		p.Protocol, p.DstPort = &protocol, &f.Probe.port
		if s.Role != evidence.Request {
			p.SrcPort, p.DstPort = &f.Probe.port, nil
		}
	case p.Dst.Is6():
		protocol = unix.IPPROTO_ICMPV6
		p.Protocol = &protocol
	default:
		protocol = unix.IPPROTO_ICMP
		p.Protocol = &protocol
	}
	if p.Fixed = f.fixed; s.Role == evidence.Request && p.Fixed != 0 {
		ttl, tos := uint8(s.TTL), s.TOS
		p.TTL, p.TOS = &ttl, &tos
		if s.SourcePort != 0 {
			p.SrcPort = &s.SourcePort
		}
	}
	if s.Direction == evidence.In {
		p.In = rules.Interface{Name: s.Interface, Index: s.Index}
	}
	return p
}
