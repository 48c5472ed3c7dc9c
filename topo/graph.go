package topo

import (
	"net/netip"
	"slices"
)

// graph is who reaches what in one family.
type graph struct {
	subnets   []subnet // in order of declaration
	of        [][]int  // by segment: its subnets
	seats     [][]seat // by routing domain, in order of its interfaces
	loopbacks [][]int  // by node: the targets on its loopback
	targets   []target // the subnets' prefixes, by the same number, then the loopbacks'
	order     []int    // the targets, each before those that lie within it
	until     []int    // by place in order: where the targets within it end
	overlap   bool     // some targets do
	router    []bool   // by node: declared to be one
}

// subnet is a segment's prefix: the nodes with an address in it reach each other
// without a hop.
type subnet struct {
	segment int
	prefix  netip.Prefix
	routers []seat // of routers that lead to another subnet, in order of declaration
	loopers []seat // of nodes with addresses on the loopback
}

// seat is a node's interface with an address in a subnet, as long as that says.
type seat struct {
	node, port, subnet int
	domain             int // the routing domain
	addr               netip.Addr
}

// target is a prefix that others need a route to: a subnet's, or a loopback's
// address.
type target struct {
	prefix  netip.Prefix
	segment int // -1 for a loopback's
	node    int // -1 for a subnet's
}

func newGraph(plan *Plan, x *index, router []bool, v6 bool) *graph {
	g := &graph{
		of: make([][]int, len(plan.Segments)), router: router,
		seats: make([][]seat, len(x.domains)), loopbacks: make([][]int, len(plan.Nodes)),
	}
	for i := range plan.Segments {
		if first := x.leader(i); first != i {
			g.of[i] = g.of[first]
			continue
		}
		for _, prefix := range plan.Segments[i].Prefixes {
			if prefix.Addr().Is6() == v6 {
				g.of[i] = append(g.of[i], len(g.subnets))
				g.subnets = append(g.subnets, subnet{segment: i, prefix: prefix})
				g.targets = append(g.targets, target{prefix: prefix, segment: i, node: -1})
			}
		}
	}
	last := make([]int, len(g.subnets)) // who took a seat last, counted from one
	for i := range plan.Nodes {
		for _, addr := range plan.Nodes[i].Loopback {
			if addr.Addr().Is6() == v6 && !slices.ContainsFunc(g.loopbacks[i], func(k int) bool { return g.targets[k].prefix == addr.Masked() }) {
				g.loopbacks[i] = append(g.loopbacks[i], len(g.targets))
				g.targets = append(g.targets, target{prefix: addr.Masked(), segment: -1, node: i})
			}
		}
		g.seat(plan, x, i, last)
	}
	g.sort()
	return g
}

// seat puts a node on its subnets. Two ports in one subnet are one seat, the first.
func (g *graph) seat(plan *Plan, x *index, node int, last []int) {
	devices := plan.Nodes[node].Devices
	for j := range devices {
		segment, on := x.segments[devices[j].Segment]
		if !on {
			continue
		}
		domain := x.domainOf(node, &devices[j])
		for _, k := range g.of[segment] {
			prefix := g.subnets[k].prefix
			for _, addr := range devices[j].Addrs {
				// A longer prefix would give the node no route to its neighbours.
				if last[k] != domain+1 && addr.Bits() <= prefix.Bits() && prefix.Contains(addr.Addr()) {
					last[k] = domain + 1
					g.seats[domain] = append(g.seats[domain], seat{node, j, k, domain, addr.Addr()})
				}
			}
		}
	}
	g.take(node, node)
	for _, domain := range x.vrfs[node] {
		g.take(node, domain)
	}
}

// take notes who leads on from a subnet: the routers, and those with a loopback, which is
// in no VRF.
func (g *graph) take(node, domain int) {
	for _, s := range g.seats[domain] {
		if g.router[node] && len(g.seats[domain]) > 1 {
			g.subnets[s.subnet].routers = append(g.subnets[s.subnet].routers, s)
		}
		if node == domain && len(g.loopbacks[node]) > 0 {
			g.subnets[s.subnet].loopers = append(g.subnets[s.subnet].loopers, s)
		}
	}
}

// sort orders the targets. Sorted by address and then by length, a prefix comes
// just before all that lie within it.
func (g *graph) sort() {
	g.order, g.until = make([]int, len(g.targets)), make([]int, len(g.targets))
	for i := range g.order {
		g.order[i] = i
	}
	slices.SortStableFunc(g.order, func(a, b int) int { return g.targets[a].prefix.Compare(g.targets[b].prefix) })
	var open []int
	for at, i := range g.order {
		for len(open) > 0 && !g.targets[g.order[open[len(open)-1]]].prefix.Overlaps(g.targets[i].prefix) {
			g.until[open[len(open)-1]] = at
			open = open[:len(open)-1]
		}
		g.overlap = g.overlap || len(open) > 0
		open = append(open, at)
	}
	for _, at := range open {
		g.until[at] = len(g.order)
	}
}

// onlyGateway is the one router that all ways of a host's routing domain begin at, where a look at
// its neighbours tells.
func (g *graph) onlyGateway(node, domain int) (port int, gateway seat, ok bool) {
	for _, s := range g.seats[domain] {
		for _, router := range g.subnets[s.subnet].routers {
			if ok {
				return 0, seat{}, false
			}
			port, gateway, ok = s.port, router, true
		}
	}
	for _, s := range g.seats[domain] {
		for _, looper := range g.subnets[s.subnet].loopers {
			if looper.node != node && looper.node != gateway.node {
				return 0, seat{}, false
			}
		}
	}
	return port, gateway, ok
}
