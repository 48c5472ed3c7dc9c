package topo

import "net/netip"

// overlayKind is all that is known of a kind of segment that is made over another: a row,
// a file each.
type overlayKind struct {
	kind     Kind
	device   string // the kernel's word for a port on it
	what     string // what tells segments of the kind apart: "VNI"; "" for nothing
	last     int    // the greatest number
	overhead [2]int // what a packet grows by, in bytes: over IPv4, and over IPv6
	joins    bool   // one broadcast domain with the segment that it is over
	// plan says what the kernel is told of a port; at is the node's interface on the
	// segment below.
	plan func(p *planner, port *DevicePlan, overlay, at end)
}

// overlay declares a segment over another.
func (n *Network) overlay(kind *overlayKind, name string, over *Segment, id int, prefixes []string) *Segment {
	s := n.segment(name, kind.kind, prefixes)
	s.overlay, s.over, s.id = kind, over, id
	return s
}

// checkOverlay checks what a segment is over, which is declared first.
func (p *planner) checkOverlay(i int) {
	segment := p.network.segments[i]
	if segment.overlay == nil {
		return
	}
	where, kind := "segment "+shown(segment.name), segment.overlay
	below, known := p.segments[segment.over]
	switch {
	case !known:
		p.wrong("%s: it is over %s: declare that in this network", where, foreign(segment.over))
		return
	case below >= i:
		p.wrong("%s: segment %s, which it is over, is declared later: declare it first", where, shown(segment.over.name))
		return
	}
	p.plan.Segments[i].Over, p.plan.Segments[i].ID = segment.over.name, segment.id
	if kind.what == "" {
		return
	}
	if segment.id < 1 || segment.id > kind.last {
		p.wrong("%s: %s %d: it is between 1 and %d", where, kind.what, segment.id, kind.last)
	}
	for _, other := range p.network.segments[:i] {
		if other.overlay == kind && other.over == segment.over && other.id == segment.id {
			p.wrong("%s: %s %d is that of segment %s: choose another", where, kind.what, segment.id, shown(other.name))
		}
	}
}

// parentOf is the node's interface on the segment below that of a port; -1 where there is
// none, which is a mistake.
func (p *planner) parentOf(at end) int {
	node := p.network.nodes[at.node]
	over := node.ports[at.port].segment.over
	for j := range node.ports {
		on, known := p.segmentOf(end{at.node, j})
		if (node.ports[j].segment == over || known && p.network.segments[on] == over) && j != at.port {
			return p.voice(end{at.node, j}).port
		}
	}
	return -1
}

// planOverlays plans what the ports on segments over others are told, once all addresses
// are known: lower segments come first, for they are declared so.
func (p *planner) planOverlays() {
	for i, segment := range p.network.segments {
		if segment.overlay == nil || p.plan.Segments[i].Over == "" {
			continue
		}
		for _, at := range p.ends[i] {
			parent := p.parentOf(at)
			if parent < 0 {
				if _, known := p.segments[segment.over]; known {
					p.wrong("%s: it is over segment %s, on which the node has no port: attach it there as well", p.place(at), shown(segment.over.name))
				}
				continue
			}
			devices := p.plan.Nodes[at.node].Devices
			below, port := &devices[parent], &devices[at.port]
			port.Kind, port.Parent, port.ID = segment.overlay.device, below.Name, segment.id
			p.tags(segment, at, parent)
			segment.overlay.plan(p, port, at, end{at.node, parent})
			if overhead := segment.overlay.overhead[familyIndex(port.Local.Is6())]; port.MTU == 0 && (overhead > 0 || below.MTU > 0) {
				port.MTU = effectiveMTU(below.MTU) - overhead
			}
			p.plan.Nodes[at.node].Ports[at.port].MTU = port.MTU
			if p.plan.Segments[i].MTU == 0 {
				p.plan.Segments[i].MTU = port.MTU
			}
		}
	}
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
func (p *planner) tunnel(port *DevicePlan, at end) {
	ends := p.ends[p.segments[p.network.nodes[at.node].ports[at.port].segment]]
	for _, v6 := range []bool{false, true} {
		port.Local, port.Remotes = netip.Addr{}, nil
		whole := true
		for _, other := range ends {
			parent := p.parentOf(other)
			if parent < 0 {
				return // a mistake
			}
			addr, has := p.localOn(end{other.node, parent}, v6)
			whole = whole && has
			if other == at {
				port.Local = addr
			} else {
				port.Remotes = append(port.Remotes, addr)
			}
		}
		if whole {
			return
		}
	}
	p.wrong("%s: the nodes on it have no address of one family in common on the segment below: give them one", p.place(at))
}
