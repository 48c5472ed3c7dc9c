package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// multipathTries bounds how often a probe is asked until it has gone every way of a
// multipath route that chooses by ports.
const multipathTries = 64

// branch is one way of a multipath route, known by who gets what takes it.
type branch struct {
	at, to string
	route  string
}

// String says it: by gw2 of multipath route 10.0.9.0/24 at fw.
func (b branch) String() string {
	return fmt.Sprintf("the way by %s of multipath route %s at %s", b.to, b.route, b.at)
}

// branches asks about a finding until every way of the multipath routes that it came by
// was taken. What was never taken is a doubt.
func (m *IsolationMatcher) branches(q question, c *recall, f *finding) (more []finding, err error) {
	if !f.Probe.kind.ports || f.from == nil {
		return nil, nil // these routes tell only ports apart
	}
	var left []branch
	for _, node := range f.from.Lab().Nodes() {
		if !slices.ContainsFunc(f.Timeline, func(s evidence.Sighting) bool { return s.Node == node.Name() && s.Role == evidence.Request }) {
			continue
		}
		ways, err := c.branchesAt(node, f.Addr)
		if err != nil {
			return nil, err
		}
		left = append(left, ways...)
	}
	if len(left) == 0 {
		return nil, nil
	}
	seen := func(r Result) {
		left = slices.DeleteFunc(left, func(b branch) bool {
			return slices.ContainsFunc(r.Timeline, func(s evidence.Sighting) bool {
				return s.Role == evidence.Request && s.Direction == evidence.In && !s.Foreign && s.Node == b.to
			})
		})
	}
	seen(f.Result)
	for try := 0; len(left) > 0 && try < multipathTries; try++ {
		again, err := q.once(m.ctx, *f)
		if err != nil {
			return nil, err
		}
		more = append(more, again...)
		for _, a := range again {
			if is, _ := m.judge(a); is != holds {
				return more, nil // that is enough
			}
			seen(a.Result)
		}
	}
	if len(left) > 0 {
		f.doubt = rules.Memory{Kind: rules.Chance, Text: fmt.Sprintf("%s, which none of %d probes took", left[0], multipathTries+1)}
	}
	return more, nil
}

// branchesAt are the ways of a node's multipath routes to an address, where it chooses by
// ports.
func (c *recall) branchesAt(node *harness.Node, to netip.Addr) (ways []branch, err error) {
	state, err := c.routingOf(node)
	if err != nil {
		return nil, err
	}
	routes := slices.DeleteFunc(slices.Clone(state.Routes), func(r inspect.Route) bool { return len(r.Hops) < 2 || !r.To.Contains(to.WithZone("")) })
	if len(routes) == 0 {
		return nil, nil
	}
	policy := "net.ipv4.fib_multipath_hash_policy"
	if to.Is6() {
		policy = "net.ipv6.fib_multipath_hash_policy"
	}
	if value, err := node.Sysctl(policy); err != nil || value == "0" {
		return nil, nil // by addresses, which are the same for all ports
	}
	for _, r := range routes {
		for _, hop := range r.Hops {
			for _, owner := range node.Lab().Plan().Owners(hop.Via) {
				ways = append(ways, branch{node.Name(), owner, r.To.String()})
			}
		}
	}
	return ways, nil
}
