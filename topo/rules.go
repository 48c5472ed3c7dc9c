package topo

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	firstPriority = 10000 // of the rules that have none of their own
	lastPriority  = 32765 // before that of the table main
)

// planRules plans the nodes' policy routing rules.
func (p *planner) planRules() {
	for i, node := range p.network.nodes {
		next := firstPriority
		for k, rule := range node.rules {
			where := fmt.Sprintf("node %s: rule %d", p.nodeName(i), k+1)
			before := len(p.mistakes)
			made := p.planRule(where, i, rule)
			if made.Priority == 0 {
				made.Priority, next = next, next+1
			}
			if len(p.mistakes) == before {
				p.addRule(i, made, rule)
			}
		}
	}
}

// addRule adds a rule in the families that it is for.
func (p *planner) addRule(node int, made RulePlan, declared Rule) {
	plan := &p.plan.Nodes[node]
	both := declared.From == "" && declared.To == ""
	made.IPv6 = made.From.Addr().Is6() || made.To.Addr().Is6()
	if made.Protocol == 58 { // ICMPv6
		made.IPv6, both = true, false
	}
	if slices.ContainsFunc(plan.Rules, func(r RulePlan) bool { return r.IPv6 == made.IPv6 && r.String() == made.String() }) {
		p.wrong("node %s: rule %s: declared twice: take one out", p.nodeName(node), made)
		return
	}
	plan.Rules = append(plan.Rules, made)
	if both && made.Protocol != 1 && plan.HasIPv6() {
		made.IPv6 = true
		plan.Rules = append(plan.Rules, made)
	}
}

// planRule reads what a rule asks for.
func (p *planner) planRule(where string, node int, rule Rule) RulePlan {
	made := RulePlan{
		Priority: rule.Priority, Not: rule.Not, Mark: rule.Mark, Mask: rule.Mask, TOS: uint8(rule.TOS), Table: rule.Table, Type: rule.Type, SuppressPrefixLength: -1,
		In: p.ruleDevice(where, node, rule.In), Out: p.ruleDevice(where, node, rule.Out),
		From: p.rulePrefix(where, rule.From), To: p.rulePrefix(where, rule.To),
	}
	if made.Mask == 0 && made.Mark != 0 {
		made.Mask = 1<<32 - 1
	}
	p.ruleAction(where, rule, &made)
	if rule.Priority < 0 || rule.Priority > lastPriority {
		p.wrong("%s: priority %d: it is between 1 and %d", where, rule.Priority, lastPriority)
	}
	if rule.TOS < 0 || rule.TOS > 0xff || rule.TOS&^0x1e != 0 && !made.From.Addr().Is6() && !made.To.Addr().Is6() {
		p.wrong("%s: tos %#x: it is between 0 and 0x1e, and even", where, rule.TOS)
	}
	if made.Mark&^made.Mask != 0 {
		p.wrong("%s: mark %#x has bits that the mask %#x leaves out: no packet has them", where, made.Mark, made.Mask)
	}
	if made.From.IsValid() && made.To.IsValid() && made.From.Addr().Is4() != made.To.Addr().Is4() {
		p.wrong("%s: from %s, to %s: choose two of one family", where, rule.From, rule.To)
	}
	p.ruleTransport(where, rule, &made)
	if rule.UID != "" {
		if first, last, ok := numbers(rule.UID, 32); ok {
			made.UIDs = &[2]uint32{uint32(first), uint32(last)}
		} else {
			p.wrong("%s: users %q: write them like 1000 or 1000-2000", where, rule.UID)
		}
	}
	return made
}

// ruleAction reads what a rule does.
func (p *planner) ruleAction(where string, rule Rule, made *RulePlan) {
	switch {
	case rule.Type < Unicast || rule.Type > Prohibit:
		p.wrong("%s: type %d: it is Unicast, Blackhole, Unreachable or Prohibit", where, rule.Type)
	case !isUint32(rule.Table):
		p.wrong("%s: table %d: it is between 1 and 4294967295", where, rule.Table)
	case rule.Type == Unicast && rule.Table == 0:
		p.wrong("%s: neither a table nor a type: say what is to be done", where)
	case rule.Type != Unicast && (rule.Table != 0 || rule.SuppressPrefixLength != nil):
		p.wrong("%s: a %s rule looks nothing up: leave out table and suppressed prefix length", where, rule.Type)
	case rule.SuppressPrefixLength == nil:
	case *rule.SuppressPrefixLength < 0 || *rule.SuppressPrefixLength > 128:
		p.wrong("%s: suppressed prefix length %d: it is between 0 and 128", where, *rule.SuppressPrefixLength)
	default:
		made.SuppressPrefixLength = *rule.SuppressPrefixLength
	}
}

// ruleTransport reads protocol and ports.
func (p *planner) ruleTransport(where string, rule Rule, made *RulePlan) {
	ports := false
	if rule.Protocol != "" {
		number, err := strconv.ParseUint(rule.Protocol, 10, 8)
		made.Protocol, ports = uint8(number), err == nil
		for _, known := range protocols {
			if known.name == rule.Protocol {
				made.Protocol, ports, err = known.number, known.ports, nil
			}
		}
		if err != nil || made.Protocol == 0 {
			p.wrong("%s: protocol %q: write tcp, udp, icmp, ipv6-icmp, or a number from 1 to 255", where, rule.Protocol)
			return
		}
	}
	for _, of := range []struct {
		text string
		into *[2]uint16
	}{{rule.SourcePort, &made.SourcePorts}, {rule.Port, &made.Ports}} {
		if of.text == "" {
			continue
		}
		first, last, ok := numbers(of.text, 16)
		switch {
		case !ok || first == 0:
			p.wrong("%s: ports %q: write them like 80 or 8000-8100", where, of.text)
		case !ports:
			p.wrong("%s: ports %s without a protocol that has them: say tcp or udp", where, of.text)
		default:
			*of.into = [2]uint16{uint16(first), uint16(last)}
		}
	}
}

// numbers reads "80" or "8000-8100".
func numbers(text string, bits int) (first, last uint64, ok bool) {
	from, to, isRange := strings.Cut(text, "-")
	first, err1 := strconv.ParseUint(from, 10, bits)
	last, err2 := first, error(nil)
	if isRange {
		last, err2 = strconv.ParseUint(to, 10, bits)
	}
	return first, last, err1 == nil && err2 == nil && first <= last
}

// rulePrefix reads an address or a prefix; not valid for none.
func (p *planner) rulePrefix(where, text string) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil || prefix.Addr().Is4In6():
		p.wrong("%s: %q: write an address or a prefix, like 10.1.0.0/16", where, text)
		return netip.Prefix{}
	case prefix != prefix.Masked():
		p.wrong("%s: %s has bits after its length: write %s, or the address alone", where, text, prefix.Masked())
	}
	return prefix
}

// ruleDevice is an interface as a rule asks for it: a bridge where its port is meant.
func (p *planner) ruleDevice(where string, node int, of Interface) string {
	if of == nil {
		return ""
	}
	return p.device(where, node, of)
}
