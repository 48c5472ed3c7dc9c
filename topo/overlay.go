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
	over := node.ports[at.port].below()
	if p.astray[at] {
		return -1
	}
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
	p.checkOvers()
	for i, segment := range p.network.segments {
		if segment.overlay == nil || p.plan.Segments[i].Over == "" {
			continue
		}
		p.checkEnds(i)
		for _, at := range p.ends[i] {
			p.planEnd(segment, at)
		}
		mtu := p.planCarriers(i)
		for _, at := range p.ends[i] {
			p.planEndMTU(segment, at, mtu)
			if p.plan.Segments[i].MTU == 0 {
				p.plan.Segments[i].MTU = p.plan.Nodes[at.node].Ports[at.port].MTU
			}
		}
	}
}

// planEnd plans what a port on a segment over another is told, but for its MTU.
func (p *planner) planEnd(segment *Segment, at end) {
	parent := p.parentOf(at)
	if parent < 0 {
		below := p.network.nodes[at.node].ports[at.port].below()
		if _, known := p.segments[below]; known && !p.astray[at] {
			p.wrong("%s: it is over segment %s, on which the node has no port: attach it there as well", p.place(at), shown(below.name))
		}
		return
	}
	devices := p.plan.Nodes[at.node].Devices
	port := &devices[at.port]
	port.Kind, port.Parent, port.ID = string(segment.overlay.kind), devices[parent].Name, segment.id
	p.tags(segment, at, parent)
	segment.overlay.plan(p, port, at, end{at.node, parent})
	p.checkSame(at)
}

// planEndMTU gives a port what is left of the MTU below: of the ways between the ends, or 0
// where they are on one segment.
func (p *planner) planEndMTU(segment *Segment, at end, below int) {
	parent := p.parentOf(at)
	if parent < 0 {
		return
	}
	devices := p.plan.Nodes[at.node].Devices
	port := &devices[at.port]
	if below == 0 {
		below = devices[parent].MTU
	}
	if overhead := segment.overlay.grows(port); port.MTU == 0 && (overhead > 0 || below > 0) {
		port.MTU = effectiveMTU(below) - overhead
	}
	p.plan.Nodes[at.node].Ports[at.port].MTU = port.MTU
}
