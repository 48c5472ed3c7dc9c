package inspect

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Decision is what decides where a packet goes: the first rule of policy routing
// that settles it, and the route in its table; nil where the rule itself says what
// is done.
type Decision struct {
	Rule  *PolicyRule
	Route *Route
}

// Errno is what a lookup ends with by it: 0 where it leads somewhere. A rule that is
// unreachable says that there is no route, a route that is says that there is no host
// (fib4_rule_action, fib_props in net/ipv4).
func (d Decision) Errno() unix.Errno {
	if d.Route == nil {
		return map[int]unix.Errno{
			unix.FR_ACT_BLACKHOLE: unix.EINVAL, unix.FR_ACT_UNREACHABLE: unix.ENETUNREACH, unix.FR_ACT_PROHIBIT: unix.EACCES,
		}[d.Rule.Action]
	}
	return map[int]unix.Errno{unix.RTN_BLACKHOLE: unix.EINVAL, unix.RTN_UNREACHABLE: unix.EHOSTUNREACH, unix.RTN_PROHIBIT: unix.EACCES}[d.Route.Type]
}

// Decide walks the policy routing rules in their order, as a lookup does, and in
// each one's table takes the longest prefix. It tells why a lookup ended with an
// error, which the kernel does not say. It is false where nothing decides, and where
// a rule comes before that asks for what was not read, or for a flow label that is not known.
func (s *State) Decide(q Question) (Decision, bool) {
	rules := s.policyRulesOf(q.To.Is6())
	for at := 0; at < len(rules); at++ {
		rule := &rules[at]
		if rule.odd || rule.FlowLabelMask != 0 && !q.Labelled {
			return Decision{}, false
		}
		if !s.matches(rule, q) {
			continue
		}
		switch rule.Action {
		case unix.FR_ACT_BLACKHOLE, unix.FR_ACT_UNREACHABLE, unix.FR_ACT_PROHIBIT:
			return Decision{Rule: rule}, true
		case unix.FR_ACT_GOTO:
			to := slices.IndexFunc(rules, func(r PolicyRule) bool { return r.Priority >= rule.Goto })
			if to <= at {
				return Decision{}, false
			}
			at = to - 1
		case unix.FR_ACT_TO_TBL:
			if route := s.lookIn(rule, q); route != nil {
				return Decision{rule, route}, true
			}
		}
	}
	return Decision{}, false
}

// policyRulesOf are a family's rules; where none were read, those that every namespace has.
func (s *State) policyRulesOf(v6 bool) (rules []PolicyRule) {
	for _, r := range s.PolicyRules {
		if r.V6 == v6 {
			rules = append(rules, r)
		}
	}
	if len(s.PolicyRules) > 0 {
		return rules
	}
	for priority, table := range map[int]int{0: unix.RT_TABLE_LOCAL, 32766: unix.RT_TABLE_MAIN, 32767: unix.RT_TABLE_DEFAULT} {
		rules = append(rules, PolicyRule{V6: v6, Priority: priority, Table: table, Action: unix.FR_ACT_TO_TBL, SuppressBits: -1})
	}
	slices.SortFunc(rules, func(a, b PolicyRule) int { return a.Priority - b.Priority })
	return rules
}

// matches says whether a rule is for such packets.
func (s *State) matches(r *PolicyRule, q Question) bool {
	const loopback = 1 // what the node itself sends comes from there
	in := s.Link(max(q.In, loopback))
	has := func(prefix netip.Prefix, addr netip.Addr) bool {
		return !prefix.IsValid() || prefix.Bits() == 0 || addr.IsValid() && prefix.Contains(addr)
	}
	does := has(r.From, q.From) && has(r.To, q.To) &&
		(r.In == "" || r.In == in.Name) && (r.Out == "" || q.Out != 0 && r.Out == s.Link(q.Out).Name) &&
		(r.Mark^q.Mark)&r.Mask == 0 &&
		(r.TOS^q.TOS)&r.TOSMask == 0 &&
		(r.FlowLabel^q.FlowLabel)&r.FlowLabelMask == 0 &&
		(r.Protocol == 0 || r.Protocol == q.Protocol) &&
		portMatches(r.SourcePorts, r.SourcePortMask, q.SourcePort) && portMatches(r.Ports, r.PortMask, q.Port) &&
		(r.UIDs == nil || q.In == 0 && r.UIDs.has(q.UID)) &&
		(!r.L3Master || s.domain(q) != 0)
	return does != r.Invert
}

// VRF is the index of the VRF that an interface is in, or is; 0 for none.
func (s *State) VRF(l Link) int {
	if l.Kind == "vrf" {
		return l.Index
	}
	if master := s.Link(l.Master); master.Kind == "vrf" {
		return master.Index
	}
	return 0
}

// domain is the table of the VRF that a packet is looked up in, which comes in, or is to leave,
// at an interface of it; 0 for none.
func (s *State) domain(q Question) int {
	for _, index := range []int{q.In, q.Out} {
		if vrf := s.VRF(s.Link(index)); vrf != 0 {
			return s.Link(vrf).Table
		}
	}
	return 0
}

// lookIn is the route that a lookup in a rule's table ends with; nil where the next
// rule is to be asked.
func (s *State) lookIn(rule *PolicyRule, q Question) *Route {
	table := rule.Table
	if rule.L3Master {
		table = s.domain(q)
	}
	var best *Route
	for i := range s.Routes {
		r := &s.Routes[i]
		if r.Table != table || !r.To.Contains(q.To) || r.dead() || r.TOS != 0 && r.TOS != int(q.TOS) {
			continue
		}
		if best == nil || r.To.Bits() > best.To.Bits() || r.To.Bits() == best.To.Bits() && (r.TOS > best.TOS || r.TOS == best.TOS && r.Metric < best.Metric) {
			best = r
		}
	}
	switch {
	case best == nil || best.Type == unix.RTN_THROW:
		return nil
	case best.Type == unix.RTN_UNICAST && best.To.Bits() <= rule.SuppressBits:
		return nil
	}
	return best
}

// Overtaken says whether another route of its table comes before a route for every packet to an
// address, whatever else it carries.
func (s *State) Overtaken(r Route, to netip.Addr) bool {
	return slices.ContainsFunc(s.Routes, func(o Route) bool {
		first := o.To.Bits() > r.To.Bits() || o.To.Bits() == r.To.Bits() && r.TOS == 0 && o.Metric < r.Metric
		return o.Table == r.Table && o.To.Contains(to) && o.TOS == 0 && !o.dead() && first
	})
}
