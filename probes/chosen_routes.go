package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// routing is what a node's lookups are decided by.
type routing struct {
	*inspect.State
	chosen bool // whether some rule or route asks for what a program may choose
}

// routeChoices are the policy routing rules, and the routes with a TOS, that could have sent
// the request another way at a node that it came by. A mark is for root alone to choose.
func (c *recall) routeChoices(f *finding) (found []rules.Choice, err error) {
	if f.from == nil {
		return nil, nil
	}
	for _, node := range f.from.Lab().Nodes() {
		at := f.requestAt(node)
		if at < 0 && node != f.from || node.Alone() {
			continue
		}
		state, err := c.routingOf(node)
		if err != nil {
			return nil, err
		}
		if state.chosen {
			found = append(found, state.choices(questionOf(f, node, at), f.fixed)...)
		}
	}
	return found, nil
}

func (c *recall) routingOf(node *harness.Node) (*routing, error) {
	if c.routing[node] != nil {
		return c.routing[node], nil
	}
	ns, err := watch.NamespaceOf(node)
	if err != nil {
		return nil, err
	}
	r := &routing{State: &inspect.State{}}
	if r.PolicyRules, err = ns.PolicyRules(); err != nil {
		return nil, fmt.Errorf("node %s: %w", node, err)
	}
	if r.Routes, err = ns.Routes(); err != nil {
		return nil, fmt.Errorf("list the routes of node %s: %w", node, err)
	}
	for _, rule := range r.PolicyRules {
		r.chosen = r.chosen || traitsOf(rule) != 0
	}
	for _, route := range r.Routes {
		r.chosen = r.chosen || route.TOS != 0
	}
	if r.chosen {
		if r.Links, err = ns.Links(); err != nil {
			return nil, fmt.Errorf("list the links of node %s: %w", node, err)
		}
	}
	c.routing[node] = r
	return r, nil
}

// marksAskedFor says whether a node's policy routing, or its traffic control, may ask for marks.
func (c *recall) marksAskedFor(node *harness.Node) (bool, error) {
	routing, err := c.routingOf(node)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(routing.PolicyRules, func(r inspect.PolicyRule) bool { return r.Mark != 0 || r.Mask != 0 }) {
		return true, nil
	}
	asked := false
	err = node.Do(func() error {
		blind, err := inspect.OpenBlindSpots()
		if err != nil {
			return err
		}
		defer blind.Close()
		spots, queues, err := blind.Standing()
		asked = len(spots) > 0 || queues
		return err
	})
	if err != nil {
		return false, fmt.Errorf("node %s: look for traffic control: %w", node, err)
	}
	return asked, nil
}

// traitsOf are what a rule of policy routing asks for that a program may choose.
func traitsOf(r inspect.PolicyRule) (t rules.Trait) {
	if r.SourcePorts != (inspect.Range{}) || r.SourcePortMask != 0 {
		t |= rules.SourcePort
	}
	if r.TOSMask != 0 {
		t |= rules.TOS
	}
	if r.FlowLabelMask != 0 {
		t |= rules.FlowLabel
	}
	if r.UIDs != nil {
		t |= rules.User
	}
	return t
}

// questionOf is the lookup for the request at a node.
func questionOf(f *finding, node *harness.Node, at int) inspect.Question {
	chosen := f.Probe.source
	q := inspect.Question{
		From: chosen.addr.WithZone(""), To: f.Addr.WithZone(""), SourcePort: f.askedFrom(), Port: f.Probe.port, Protocol: protocolOf(f.Probe), TOS: chosen.tos(),
	}
	if node == f.from {
		q = chosen.ask(q)
		q.Labelled = true // with none: a kernel chooses one only once it has the route
	}
	switch {
	case q.Protocol != 0:
	case q.To.Is6():
		q.Protocol = unix.IPPROTO_ICMPV6
	default:
		q.Protocol = unix.IPPROTO_ICMP
	}
	if at < 0 {
		return q
	}
	s := f.Timeline[at]
	q.From, q.To, q.TOS = s.Source, s.Destination, s.TOS
	if s.Mark != 0 || node != f.from {
		q.Mark = s.Mark
	}
	if node != f.from {
		q.In = s.Index
	}
	return q
}

// choices are those that decide otherwise about a question with other traits, and lead
// somewhere then.
func (r *routing) choices(q inspect.Question, fixed rules.Trait) (found []rules.Choice) {
	add := func(t rules.Trait, rule fmt.Stringer, q inspect.Question, questions []inspect.Question) {
		now, _ := r.Decide(q)
		var edges []uint16
		for _, other := range questions {
			if then, ok := r.Decide(other); ok && then.Route != nil && then.Route != now.Route && then.Errno() == 0 {
				edges = append(edges, other.SourcePort)
			}
		}
		if len(edges) > 0 {
			found = append(found, rules.Choice{Traits: t, Rule: rule, At: r.from(q), Edges: func() []uint16 { return edges }})
		}
	}
	for i := range r.PolicyRules {
		rule := &r.PolicyRules[i]
		if t := traitsOf(*rule) &^ fixed; rule.V6 == q.To.Is6() && t != 0 {
			now := q
			if rule.FlowLabelMask != 0 && !q.Labelled {
				now.FlowLabel, now.Labelled = rule.FlowLabel^rule.FlowLabelMask, true
			}
			add(t, policyRule{rule}, now, others(rule, now, fixed))
		}
	}
	for _, route := range r.Routes {
		if route.TOS != 0 && fixed&rules.TOS == 0 && route.To.Contains(q.To) {
			other := q
			other.TOS = uint8(route.TOS)
			add(rules.TOS, tosRoute(route), q, []inspect.Question{other})
		}
	}
	return found
}

// from says what a lookup comes to from a source port.
func (r *routing) from(q inspect.Question) func(uint16) string {
	return func(port uint16) string {
		q := q
		q.SourcePort = port
		d, _ := r.Decide(q)
		return fmt.Sprintf("%p", d.Route)
	}
}

// others are questions like one that a rule applies to, or does not, by what a program may
// choose, but for what is fixed.
func others(rule *inspect.PolicyRule, q inspect.Question, fixed rules.Trait) (list []inspect.Question) {
	classes := []uint8{q.TOS}
	if fixed&rules.TOS == 0 {
		classes = append(classes, q.TOS^(q.TOS^rule.TOS)&rule.TOSMask, q.TOS^rule.TOSMask)
	}
	ports := []uint16{q.SourcePort}
	if first, last := uint16(rule.SourcePorts.First), uint16(rule.SourcePorts.Last); first != 0 && fixed&rules.SourcePort == 0 {
		ports = append(ports, first, last, first-1, last+1, first^rule.SourcePortMask)
	}
	users := []uint32{q.UID}
	if rule.UIDs != nil && q.In == 0 && fixed&rules.User == 0 {
		users = append(users, rule.UIDs.First, rule.UIDs.First-1, rule.UIDs.Last+1)
	}
	labels := []uint32{q.FlowLabel}
	if rule.FlowLabelMask != 0 {
		labels = append(labels, rule.FlowLabel, rule.FlowLabel^rule.FlowLabelMask)
	}
	for _, port := range ports {
		for _, user := range users {
			for _, tos := range classes {
				for _, label := range labels {
					other := q
					other.SourcePort, other.UID, other.TOS, other.FlowLabel = port, user, tos, label
					list = append(list, other)
				}
			}
		}
	}
	return list
}

// policyRule is a rule's place in a sentence.
type policyRule struct{ *inspect.PolicyRule }

func (r policyRule) String() string {
	return fmt.Sprintf("policy routing rule %q", r.PolicyRule.String())
}

type tosRoute inspect.Route

func (r tosRoute) String() string { return fmt.Sprintf("the route to %s of TOS %#x", r.To, r.TOS) }
