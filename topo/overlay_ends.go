package topo

import (
	"fmt"
	"net/netip"
	"slices"
)

// checkEnds checks how many are on a segment over another, and their addresses there.
func (p *planner) checkEnds(segment int) {
	kind, ends := p.network.segments[segment].overlay, p.ends[segment]
	where, n := "segment "+shown(p.plan.Segments[segment].Name), len(ends)
	switch {
	case kind.pair == "" || n == 0:
	case n == 1:
		p.wrong("%s: %s joins two nodes, and there is 1%s: attach another", where, kind.kind, nodesOf(&p.plan.Segments[segment]))
	case n > 2:
		p.wrong("%s: %s joins two nodes, and there are %d%s: %s", where, kind.kind, n, nodesOf(&p.plan.Segments[segment]), kind.pair)
	case ends[0].node == ends[1].node:
		p.wrong("%s: %s joins two nodes, and both ends are node %s's: attach another", where, kind.kind, p.nodeName(ends[0].node))
	}
	for _, at := range ends {
		for _, addr := range p.plan.Nodes[at.node].Ports[at.port].Addrs {
			if !kind.carries.has(addr.Addr().Is6()) {
				p.wrong("%s: address %s: %s carries %s alone: take it out, or choose another kind", p.place(at), addr.Addr(), kind.kind, kind.carries)
			}
		}
	}
}

// checkSame checks that the kernel tells a port from the node's others of its kind.
func (p *planner) checkSame(at end) {
	kind := p.network.nodes[at.node].ports[at.port].segment.overlay
	devices := p.plan.Nodes[at.node].Devices
	own := &devices[at.port]
	if kind.same == nil {
		return
	}
	for j := range p.network.nodes[at.node].ports {
		other := &devices[j]
		if j == at.port || other.Kind != own.Kind || !kind.same(own, other) || kind.pair != "" && other.Segment == own.Segment { // see checkEnds
			continue
		}
		what, todo := "has the same ends there", "choose another kind, or other nodes"
		if kind.what != "" {
			what += " and the same " + kind.what
		}
		switch {
		case other.Segment == own.Segment:
			p.wrong("%s: the node is on it twice, and the kernel cannot tell the two apart: take one out", p.place(at))
			continue
		case kind.numbers:
			what, todo = fmt.Sprintf("has %s %d as well", kind.what, own.ID), "choose another "+kind.what
		}
		p.wrong("%s: segment %s %s, and the kernel cannot tell the two apart: %s", p.place(at), shown(other.Segment), what, todo)
	}
}

// endsOf are the ports on the segment that a port is on.
func (p *planner) endsOf(at end) []end {
	return p.ends[p.segments[p.network.nodes[at.node].ports[at.port].segment]]
}

// mesh gives a tunnel that has no remote end one for each address of the others on its segment.
func (p *planner) mesh(port *DevicePlan, at end) {
	remote := 0
	for _, other := range p.endsOf(at) {
		if other == at {
			continue
		}
		for _, addr := range p.plan.Nodes[other.node].Ports[other.port].Addrs {
			port.Neighbours = append(port.Neighbours, NeighbourPlan{addr.Addr(), port.Remotes[remote]})
		}
		remote++
	}
	port.Remotes = nil
}

// sameEnds says whether two tunnels have the same ends, and the same number.
func sameEnds(a, b *DevicePlan) bool {
	return a.Local.IsValid() && a.ID == b.ID && a.Local == b.Local && slices.Equal(a.Remotes, b.Remotes)
}

// localOn is an address of a node's interface, of a family.
func (p *planner) localOn(at end, v6 bool) (netip.Addr, bool) {
	for _, addr := range p.plan.Nodes[at.node].Devices[at.port].Addrs {
		if addr.Addr().Is6() == v6 {
			return addr.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// tunnel gives a port its own end of a tunnel, and those of the others on its segment.
// They are IPv4 where every node has such an address below, and else IPv6.
func (p *planner) tunnel(port *DevicePlan, at, _ end) {
	ends := p.endsOf(at)
	over := p.network.nodes[at.node].ports[at.port].segment.overlay.over
	for _, v6 := range []bool{false, true} {
		if !over.has(v6) {
			continue
		}
		var local netip.Addr
		var remotes []netip.Addr
		whole := true
		for _, other := range ends {
			parent := p.parentOf(other)
			if parent < 0 {
				return // a mistake
			}
			addr, has := p.localOn(end{other.node, parent}, v6)
			whole = whole && has
			if other == at {
				local = addr
			} else {
				remotes = append(remotes, addr)
			}
		}
		if whole {
			port.Local, port.Remotes = local, remotes
			return
		}
	}
	if over != anyFamily {
		p.wrong("%s: the nodes on it have not all an %s address on the segment below: give them one", p.place(at), over)
		return
	}
	p.wrong("%s: the nodes on it have no address of one family in common on the segment below: give them one", p.place(at))
}
