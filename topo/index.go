package topo

import (
	"net/netip"
	"sync"
)

// index is what the planner and a plan's questions look things up in.
type index struct {
	nodes    map[string]int
	segments map[string]int
	// domains are the routing domains: each node, by its number, then the VRFs.
	domains []routingDomain
	vrfs    map[int][]int // by node: the numbers of its VRFs
	domain  []int         // by segment: the first that it is one with; nil where none is
	graphs  [2]*graph     // IPv4, IPv6

	mutex  sync.Mutex
	owners map[netip.Addr][]int
	hops   [2]map[int][]int // by family and node: to every subnet, -1 where no way leads
}

func newIndex(plan *Plan, domain []int) *index {
	x := &index{nodes: make(map[string]int, len(plan.Nodes)), segments: make(map[string]int, len(plan.Segments)), domain: domain}
	for i := range plan.Segments {
		x.segments[plan.Segments[i].Name] = i
	}
	router := make([]bool, len(plan.Nodes))
	for i := range plan.Nodes {
		x.nodes[plan.Nodes[i].Name] = i
		router[i] = plan.Nodes[i].Router
	}
	x.addDomains(plan)
	for f, v6 := range []bool{false, true} {
		x.graphs[f] = newGraph(plan, x, router, v6)
	}
	return x
}

func (x *index) leader(segment int) int {
	if x.domain == nil {
		return segment
	}
	return x.domain[segment]
}

// routingDomain is a node, or a VRF of it: what is routed by itself.
type routingDomain struct {
	node, table int
	vrf         string
}

func (x *index) addDomains(plan *Plan) {
	x.domains = make([]routingDomain, len(plan.Nodes))
	for i := range plan.Nodes {
		x.domains[i].node = i
	}
	for i := range plan.Nodes {
		for _, d := range plan.Nodes[i].ownDevices() {
			if d.Table == 0 {
				continue
			}
			if x.vrfs == nil {
				x.vrfs = map[int][]int{}
			}
			x.vrfs[i] = append(x.vrfs[i], len(x.domains))
			x.domains = append(x.domains, routingDomain{i, d.Table, d.Name})
		}
	}
}

// domainOf is the routing domain of a node's interface.
func (x *index) domainOf(node int, d *DevicePlan) int {
	for _, domain := range x.vrfs[node] {
		if vrf := x.domains[domain].vrf; vrf == d.Master || vrf == d.Name {
			return domain
		}
	}
	return node
}

// joined says whether two segments, by name, are one.
func (x *index) joined(a, b string) bool {
	i, ok1 := x.segments[a]
	j, ok2 := x.segments[b]
	return ok1 && ok2 && x.leader(i) == x.leader(j)
}

func familyIndex(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// hopsOf is a node's distance to every subnet of a family, found once.
func (x *index) hopsOf(node int, v6 bool) []int {
	x.mutex.Lock()
	defer x.mutex.Unlock()
	f := familyIndex(v6)
	if x.hops[f] == nil {
		x.hops[f] = map[int][]int{}
	}
	hops, known := x.hops[f][node]
	if known {
		return hops
	}
	g := x.graphs[f]
	hops = make([]int, len(g.subnets))
	for i := range hops {
		hops[i] = -1
	}
	w := newWalk(g)
	w.from(node, node)
	for _, way := range w.ways {
		if way.target < len(hops) {
			hops[way.target] = way.hops
		}
	}
	x.hops[f][node] = hops
	return hops
}

// ownersOf are the nodes that have an address, in order of declaration.
func (x *index) ownersOf(plan *Plan, addr netip.Addr) []int {
	x.mutex.Lock()
	defer x.mutex.Unlock()
	if x.owners == nil {
		x.owners = map[netip.Addr][]int{}
		for i := range plan.Nodes {
			plan.Nodes[i].eachAddr(func(prefix netip.Prefix) {
				have := x.owners[prefix.Addr()]
				if len(have) == 0 || have[len(have)-1] != i {
					x.owners[prefix.Addr()] = append(have, i)
				}
			})
		}
	}
	return x.owners[addr]
}
