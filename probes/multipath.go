package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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
	policy, family := "net.ipv4.fib_multipath_hash_policy", netlink.FAMILY_V4
	if to.Is6() {
		policy, family = "net.ipv6.fib_multipath_hash_policy", netlink.FAMILY_V6
	}
	if value, err := node.Sysctl(policy); err != nil || value == "0" {
		return nil, nil // by addresses, which are the same for all ports
	}
	routes, known := c.routes[node]
	if !known {
		err := node.Do(func() error {
			routes, err = netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list the routes of node %s: %w", node, err)
		}
		routes = slices.DeleteFunc(routes, func(r netlink.Route) bool { return len(r.MultiPath) < 2 })
		c.routes[node] = routes
	}
	for _, r := range routes {
		if r.Family != family || r.Dst != nil && !r.Dst.Contains(to.AsSlice()) {
			continue
		}
		for _, hop := range r.MultiPath {
			via, _ := netip.AddrFromSlice(hop.Gw)
			for _, owner := range node.Lab().Plan().Owners(via.Unmap()) {
				ways = append(ways, branch{node.Name(), owner, r.Dst.String()})
			}
		}
	}
	return ways, nil
}
