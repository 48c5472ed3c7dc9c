package topo

// overlayKind is all that is known of a kind of segment that is made over another: a row,
// a file each.
type overlayKind struct {
	kind     Kind   // also the kernel's word for a port on it
	what     string // what tells segments of the kind apart: "VNI"; "" for nothing
	first    int    // the least number, 0 or 1; 0 is none
	last     int    // the greatest
	overhead [2]int // what a packet grows by, in bytes: over IPv4, and over IPv6
	numbered int    // and what a number that is not 0 adds
	joins    bool   // one broadcast domain with the segment that it is over
	frames   bool   // it needs frames below
	// bare says that it carries no frames but packets: its ports have no MAC, and ask nobody
	// for neighbours.
	bare bool
	// over and carries are the family of the addresses below, and of those on it, where it
	// knows one alone.
	over, carries family
	// pair is what to do about more than two ends; "" where there may be any number.
	pair string
	// numbers says that of segments of the kind over the same one each has a number of its own.
	numbers bool
	// same says whether the kernel takes two of a node for one, and refuses the second; nil
	// where it never does.
	same func(a, b *DevicePlan) bool
	// plan says what the kernel is told of a port; at is the node's interface on the
	// segment below.
	plan func(p *planner, port *DevicePlan, overlay, at end)
}

// family is of addresses.
type family int

const (
	anyFamily family = iota
	onlyIPv4
	onlyIPv6
)

// has says whether addresses of IPv6, or of IPv4, are of the family.
func (f family) has(v6 bool) bool { return f == anyFamily || (f == onlyIPv6) == v6 }

func (f family) String() string { return [...]string{"IP", "IPv4", "IPv6"}[f] }

// isBare says whether it is a kind, and bare.
func (k *overlayKind) isBare() bool { return k != nil && k.bare }

// grows is what a port's packet grows by, in bytes.
func (k *overlayKind) grows(port *DevicePlan) int {
	bytes := k.overhead[familyIndex(port.Local.Is6())]
	if port.ID != 0 {
		bytes += k.numbered
	}
	return bytes
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
	if kind.frames && segment.over.overlay.isBare() {
		p.wrong("%s: %s is made of frames, and segment %s, %s, carries packets alone: choose another", where, kind.kind, shown(segment.over.name), segment.over.kind)
	}
	p.plan.Segments[i].Over, p.plan.Segments[i].ID = segment.over.name, segment.id
	if kind.what == "" {
		return
	}
	if segment.id < kind.first || segment.id > kind.last {
		p.wrong("%s: %s %d: it is between %d and %d", where, kind.what, segment.id, kind.first, kind.last)
	}
	for _, other := range p.network.segments[:i] {
		if kind.numbers && other.overlay == kind && other.over == segment.over && other.id == segment.id {
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
		p.checkEnds(i)
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
			port.Kind, port.Parent, port.ID = string(segment.overlay.kind), below.Name, segment.id
			p.tags(segment, at, parent)
			segment.overlay.plan(p, port, at, end{at.node, parent})
			if overhead := segment.overlay.grows(port); port.MTU == 0 && (overhead > 0 || below.MTU > 0) {
				port.MTU = effectiveMTU(below.MTU) - overhead
			}
			p.checkSame(at)
			p.plan.Nodes[at.node].Ports[at.port].MTU = port.MTU
			if p.plan.Segments[i].MTU == 0 {
				p.plan.Segments[i].MTU = port.MTU
			}
		}
	}
}
