package topo

import (
	"net/netip"
	"sync"
)

// index is what the planner and Nearest look things up in. It does not change.
type index struct {
	nodes    map[string]int
	segments map[string]int
	ports    [][]place // by node, in order of its ports
	on       [][]place // by segment, in order of declaration
	routers  [][]place // by segment: those of on that lead further
	cache    sync.Map  // from: *distances
}

// place is a node's port on a segment.
type place struct{ node, port, segment int }

func newIndex(plan *Plan, network *Network) *index {
	x := &index{
		nodes: map[string]int{}, segments: map[string]int{},
		ports: make([][]place, len(plan.Nodes)),
		on:    make([][]place, len(plan.Segments)), routers: make([][]place, len(plan.Segments)),
	}
	for i := range plan.Segments {
		x.segments[plan.Segments[i].Name] = i
	}
	for i := range plan.Nodes {
		x.nodes[plan.Nodes[i].Name] = i
		for j := range plan.Nodes[i].Ports {
			at := place{i, j, x.segments[plan.Nodes[i].Ports[j].Segment]}
			x.ports[i] = append(x.ports[i], at)
			x.on[at.segment] = append(x.on[at.segment], at)
			if network.nodes[i].router && len(network.nodes[i].ports) > 1 || len(plan.Nodes[i].Loopback) > 0 && network.nodes[i].router {
				x.routers[at.segment] = append(x.routers[at.segment], at)
			}
		}
	}
	return x
}

// onLink is an address of a port by which others on its segment reach it: one
// in the segment's own prefixes.
func (p *Plan) onLink(at place, v6 bool) (netip.Addr, bool) {
	for _, addr := range p.Nodes[at.node].Ports[at.port].Addrs {
		if addr.Addr().Is6() != v6 {
			continue
		}
		for _, prefix := range p.Segments[at.segment].Prefixes {
			if prefix.Contains(addr.Addr()) {
				return addr.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// way is how a segment is reached from a node: the hops over routers, and the
// first of them with the node's own port; no hop on its own segments.
type way struct {
	hops  int
	port  int
	first place
}

// ways finds the shortest way to every segment that a node reaches in a family.
// visit is called for each in order: by hops, then by declaration.
func (p *Plan) ways(from int, v6 bool, visit func(segment int, w way)) {
	x := p.index
	seen := make(map[int]bool, len(x.ports[from]))
	type step struct {
		segment int
		way     way
	}
	var queue []step
	for _, at := range x.ports[from] {
		if !seen[at.segment] {
			seen[at.segment] = true
			queue = append(queue, step{at.segment, way{port: at.port}})
		}
	}
	for len(queue) > 0 {
		here := queue[0]
		queue = queue[1:]
		visit(here.segment, here.way)
		for _, router := range x.routers[here.segment] {
			if router.node == from {
				continue
			}
			if _, ok := p.onLink(router, v6); !ok {
				continue
			}
			for _, further := range x.ports[router.node] {
				if seen[further.segment] {
					continue
				}
				seen[further.segment] = true
				next := here.way
				if next.hops == 0 {
					next.first = router
				}
				next.hops++
				queue = append(queue, step{further.segment, next})
			}
		}
	}
}

// Nearest is an address of a node as another would choose it: on a segment that
// both are on, else on the one the fewest hops away, else the one declared
// first; where no way leads, the first that the node has. It is false when the
// node has none of that family.
func (p *Plan) Nearest(from, to string, v6 bool) (netip.Addr, bool) {
	if p.index == nil {
		return netip.Addr{}, false
	}
	source, ok1 := p.index.nodes[from]
	target, ok2 := p.index.nodes[to]
	if !ok1 || !ok2 {
		return netip.Addr{}, false
	}
	hops := p.hops(source, v6)
	best, found := -1, netip.Addr{}
	for _, at := range p.index.ports[target] {
		distance, reached := hops[at.segment]
		if !reached || best >= 0 && distance >= best {
			continue
		}
		for _, addr := range p.Nodes[target].Ports[at.port].Addrs {
			if addr.Addr().Is6() == v6 {
				best, found = distance, addr.Addr()
				break
			}
		}
	}
	if best < 0 {
		return p.Nodes[target].first(v6)
	}
	return found, true
}

// first is the node's first address of a family, the loopback's last.
func (n *NodePlan) first(v6 bool) (netip.Addr, bool) {
	for i := range n.Ports {
		for _, prefix := range n.Ports[i].Addrs {
			if prefix.Addr().Is6() == v6 {
				return prefix.Addr(), true
			}
		}
	}
	for _, prefix := range n.Loopback {
		if prefix.Addr().Is6() == v6 {
			return prefix.Addr(), true
		}
	}
	return netip.Addr{}, false
}

type hopsKey struct {
	from int
	v6   bool
}

// hops is the distance to every segment, computed once per node and family.
func (p *Plan) hops(from int, v6 bool) map[int]int {
	key := hopsKey{from, v6}
	if known, ok := p.index.cache.Load(key); ok {
		return known.(map[int]int)
	}
	hops := map[int]int{}
	p.ways(from, v6, func(segment int, w way) { hops[segment] = w.hops })
	p.index.cache.Store(key, hops)
	return hops
}
