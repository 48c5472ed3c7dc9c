package topo_test

import (
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// seeds is how many random networks the properties are checked on.
const seeds = 400

func TestPropertiesOfRandomNetworks(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for seed := range uint64(seeds) {
		w := randomWorld(seed)
		plan, err := w.network.Plan()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		failed := t.Failed()
		invariants(t, plan, false)
		again, err := randomWorld(seed).network.Plan()
		if err != nil || !reflect.DeepEqual(plan, again) || plan.String() != again.String() {
			t.Errorf("the same declaration gives another plan: %v\n%s", err, again)
		}
		for _, v6 := range []bool{false, true} {
			newOracle(t, plan, w.router, v6, found).check()
		}
		if t.Failed() && !failed {
			t.Fatalf("seed %d:\n%s", seed, plan)
		}
	}
	// A property that nothing was checked against would hold as well.
	for _, what := range []string{"default", "specific", "ambiguous", "unreachable", "two hops", "loopback"} {
		if found[what] < seeds/10 {
			t.Errorf("only %d times %s", found[what], what)
		}
	}
}

// oracle finds ways by itself: relaxing distances between nodes until nothing
// changes, over whom the plan's own addresses make neighbours.
type oracle struct {
	t      *testing.T
	plan   *topo.Plan
	router map[string]bool
	v6     bool
	goals  []goal
	hops   [][]int // by node, then by goal; MaxInt where no way leads
	found  map[string]int
}

// goal is a prefix of a segment, or of a node's loopback.
type goal struct {
	prefix  netip.Prefix
	segment string
	node    string
}

func (g goal) String() string {
	if g.segment != "" {
		return g.prefix.String() + " of segment " + g.segment
	}
	return g.prefix.String() + " of node " + g.node
}

func newOracle(t *testing.T, plan *topo.Plan, router map[string]bool, v6 bool, found map[string]int) *oracle {
	o := &oracle{t: t, plan: plan, router: router, v6: v6, found: found}
	for _, s := range plan.Segments {
		for _, prefix := range s.Prefixes {
			if prefix.Addr().Is6() == v6 {
				o.goals = append(o.goals, goal{prefix, s.Name, ""})
			}
		}
	}
	for _, n := range plan.Nodes {
		for _, prefix := range n.Loopback {
			if prefix.Addr().Is6() == v6 {
				o.goals = append(o.goals, goal{prefix.Masked(), "", n.Name})
			}
		}
	}
	o.relax()
	return o
}

// at is the node's address in a goal, if the goal is the node's own.
func (o *oracle) at(n *topo.NodePlan, g goal) (netip.Addr, bool) {
	if g.segment == "" {
		return netip.Addr{}, g.node == n.Name
	}
	for _, port := range n.Ports {
		for _, prefix := range port.Addrs {
			if port.Segment == g.segment && prefix.Masked() == g.prefix {
				return prefix.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// neighbours says whether two nodes are in one subnet.
func (o *oracle) neighbours(a, b *topo.NodePlan) bool {
	return slices.ContainsFunc(o.goals, func(g goal) bool {
		_, one := o.at(a, g)
		_, other := o.at(b, g)
		return g.segment != "" && one && other
	})
}

func (o *oracle) relax() {
	for i := range o.plan.Nodes {
		o.hops = append(o.hops, slices.Repeat([]int{math.MaxInt}, len(o.goals)))
		for k, g := range o.goals {
			if _, ok := o.at(&o.plan.Nodes[i], g); ok {
				o.hops[i][k] = 0
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range o.plan.Nodes {
			for j := range o.plan.Nodes {
				if i == j || !o.neighbours(&o.plan.Nodes[i], &o.plan.Nodes[j]) {
					continue
				}
				for k, g := range o.goals {
					through := o.router[o.plan.Nodes[j].Name] || g.node == o.plan.Nodes[j].Name
					if through && o.hops[j][k] != math.MaxInt && o.hops[j][k]+1 < o.hops[i][k] {
						o.hops[i][k], changed = o.hops[j][k]+1, true
					}
				}
			}
		}
	}
}

func (o *oracle) check() {
	for i := range o.plan.Nodes {
		for k := range o.goals {
			o.checkGoal(i, k)
		}
		o.checkRoutes(&o.plan.Nodes[i])
	}
}

// checkGoal checks what a node does with packets to a goal.
func (o *oracle) checkGoal(i, k int) {
	n, g := &o.plan.Nodes[i], o.goals[k]
	_, specific := o.route(n, g.prefix)
	fallback, defaults := o.route(n, defaultOf(o.v6))
	switch {
	case o.hops[i][k] == 0:
		if specific {
			o.t.Errorf("node %s: a route to its own %s", n.Name, g)
		}
	case o.ambiguous(i, k):
		o.found["ambiguous"]++
		if specific || defaults {
			o.t.Errorf("node %s: a route to %s, which is ambiguous", n.Name, g)
		}
		if !slices.ContainsFunc(o.plan.Notes, func(note string) bool {
			return strings.HasPrefix(note, "node "+n.Name+": no automatic route to ") && strings.Contains(note, g.String())
		}) {
			o.t.Errorf("node %s: no note says that %s is ambiguous: %q", n.Name, g, o.plan.Notes)
		}
	case o.hops[i][k] == math.MaxInt:
		o.found["unreachable"]++
		if specific && !slices.ContainsFunc(o.goals, func(other goal) bool { return other != g && other.prefix == g.prefix }) {
			o.t.Errorf("node %s: a route to %s, which no way leads to", n.Name, g)
		}
	case !specific && !defaults:
		o.t.Errorf("node %s: no route to %s", n.Name, g)
	case defaults && (specific || o.router[n.Name] || !o.router[o.ownerOf(n, fallback)]):
		o.t.Errorf("node %s: a default route beside one to %s, or on a router, or to a host", n.Name, g)
	default:
		o.follow(i, k)
	}
}

// ambiguous says whether the node reaches something else that overlaps the goal.
func (o *oracle) ambiguous(i, k int) bool {
	for other, g := range o.goals {
		if other != k && o.hops[i][other] != math.MaxInt && g.prefix.Overlaps(o.goals[k].prefix) &&
			(g.node == "" || g.node != o.goals[k].node) {
			return o.hops[i][k] != math.MaxInt
		}
	}
	return false
}

// checkRoutes checks each automatic route by itself.
func (o *oracle) checkRoutes(n *topo.NodePlan) {
	for _, route := range n.Routes {
		if !route.Auto || route.To.Addr().Is6() != o.v6 {
			continue
		}
		owner := o.ownerOf(n, route)
		if _, loops := o.goalAt(route.To, owner); !o.router[owner] && !loops {
			o.t.Errorf("node %s: route %s: %q does not forward", n.Name, routeLine(route), owner)
		}
	}
}

func (o *oracle) goalAt(prefix netip.Prefix, node string) (goal, bool) {
	for _, g := range o.goals {
		if g.prefix == prefix && g.node == node {
			return g, true
		}
	}
	return goal{}, false
}
