package topo

import "net/netip"

// Way is a route from a node to an address by the fewest hops over routers,
// whatever routes the nodes have. It is false where no way leads, for an address
// that nobody else has, and for a node that is none.
func (p *Plan) Way(from string, to netip.Addr) (RoutePlan, bool) {
	to = to.Unmap().WithZone("")
	if p.here().index == nil {
		return RoutePlan{}, false
	}
	source, ok := p.index.nodes[from]
	if !ok {
		return RoutePlan{}, false
	}
	g := p.index.graphs[familyIndex(to.Is6())]
	w := newWalk(g)
	w.from(source, source)
	for _, way := range w.ways {
		if g.targets[way.target].node == source {
			continue // its own
		}
		if g.targets[way.target].prefix.Contains(to) && p.at(g.targets[way.target], to) {
			return RoutePlan{To: netip.PrefixFrom(to, to.BitLen()), Via: way.gateway, Dev: p.Nodes[source].Devices[way.port].Name}, true
		}
	}
	return RoutePlan{}, false
}

// at says whether somebody has the address at a target.
func (p *Plan) at(t target, addr netip.Addr) bool {
	for _, i := range p.index.ownersOf(p, addr) {
		node := &p.Nodes[i]
		if t.node == i {
			return true
		}
		for j := range node.Devices {
			segment, on := p.index.segments[node.Devices[j].Segment]
			if t.segment < 0 || !on || p.index.leader(segment) != t.segment {
				continue
			}
			for _, prefix := range node.Devices[j].Addrs {
				if prefix.Addr() == addr {
					return true
				}
			}
		}
	}
	return false
}
