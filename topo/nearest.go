package topo

import "net/netip"

// Nearest is an address of a node as another would choose it: on a segment that
// both are on, else the fewest hops away, else the one declared first; where no
// way leads, the first that the node has. It is false when the node has none of
// that family, and when one of the two is no node of the plan.
func (p *Plan) Nearest(from, to string, v6 bool) (netip.Addr, bool) {
	if p.here().index == nil {
		return netip.Addr{}, false
	}
	source, ok1 := p.index.nodes[from]
	target, ok2 := p.index.nodes[to]
	if !ok1 || !ok2 {
		return netip.Addr{}, false
	}
	best, nearest := -1, netip.Addr{}
	for j := range p.Nodes[target].Devices {
		port := &p.Nodes[target].Devices[j]
		for _, addr := range port.Addrs {
			if addr.Addr().Is6() != v6 {
				continue
			}
			distance := p.distance(source, port, addr.Addr())
			if distance >= 0 && (best < 0 || distance < best) {
				best, nearest = distance, addr.Addr()
			}
		}
	}
	if best < 0 {
		return p.Nodes[target].first(v6)
	}
	return nearest, true
}

// distance is the hops from a node to an address of an interface, -1 when no way leads
// there.
func (p *Plan) distance(source int, port *DevicePlan, addr netip.Addr) int {
	for i := range p.Nodes[source].Devices {
		own := &p.Nodes[source].Devices[i]
		if !p.index.joined(own.Segment, port.Segment) {
			continue
		}
		for _, mine := range own.Addrs {
			if mine.Masked().Contains(addr) {
				return 0
			}
		}
	}
	v6 := addr.Is6()
	hops := p.index.hopsOf(source, v6)
	g := p.index.graphs[familyIndex(v6)]
	segment, on := p.index.segments[port.Segment]
	if !on {
		return -1
	}
	for _, k := range g.of[segment] {
		if g.subnets[k].prefix.Contains(addr) {
			return hops[k]
		}
	}
	return -1
}

// first is the node's first address of a family, the loopback's last.
func (n *NodePlan) first(v6 bool) (netip.Addr, bool) {
	var first netip.Addr
	n.eachAddr(func(prefix netip.Prefix) {
		if !first.IsValid() && prefix.Addr().Is6() == v6 {
			first = prefix.Addr()
		}
	})
	return first, first.IsValid()
}
