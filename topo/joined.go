package topo

import (
	"net"
	"slices"
)

// joins makes a port's segment one with those of the others.
func (p *planner) joins(at end, member int) {
	devices := p.plan.Nodes[at.node].Devices
	segment := devices[member].Segment
	if segment == "" {
		return
	}
	if devices[at.port].Segment == "" {
		devices[at.port].Segment = segment
		return
	}
	p.join(p.segmentNamed(devices[at.port].Segment), p.segmentNamed(segment))
}

// join makes two segments one.
func (p *planner) join(a, b int) {
	a, b = p.leader(a), p.leader(b)
	p.domain[max(a, b)] = min(a, b)
}

// joinOverlays makes segments one with what they are over, where frames are the same.
func (p *planner) joinOverlays() {
	for i, segment := range p.network.segments {
		if segment.overlay == nil || !segment.overlay.joins || p.plan.Segments[i].Over == "" {
			continue
		}
		p.join(p.segments[segment.over], i)
	}
}

// leader is the first of the segments that a segment is one with.
func (p *planner) leader(segment int) int {
	for p.domain[segment] != segment {
		segment = p.domain[segment]
	}
	return segment
}

// isOn says whether a segment, by name, is one or one with it.
func (p *planner) isOn(name string, segment int) bool {
	return p.plan.Segments[segment].Name == name || p.joined && name != "" && p.leader(p.segmentNamed(name)) == p.leader(segment)
}

func (p *planner) segmentNamed(name string) int {
	if name == "" { // what is on none; one without a name is a mistake
		return -1
	}
	return slices.IndexFunc(p.plan.Segments, func(s SegmentPlan) bool { return s.Name == name })
}

// domains is the leader of every segment; nil where none is one with another.
func (p *planner) domains() []int {
	if !p.joined {
		return nil
	}
	leaders := make([]int, len(p.domain))
	for i := range leaders {
		leaders[i] = p.leader(i)
	}
	return leaders
}

// joinSegments gives segments that are one all their prefixes, and what is claimed of
// one is claimed of all.
func (p *planner) joinSegments() {
	for i := range p.domain {
		first := p.leader(i)
		if first == i {
			continue
		}
		p.joined = true
		a, b := &p.plan.Segments[first], &p.plan.Segments[i]
		for _, prefix := range b.Prefixes {
			at := slices.IndexFunc(a.Prefixes, prefix.Overlaps)
			switch {
			case at < 0:
				a.Prefixes = append(a.Prefixes, prefix)
			case a.Prefixes[at] != prefix:
				p.wrong("segment %s: prefix %s overlaps %s of segment %s, which is one with it: take one out", shown(b.Name), prefix, a.Prefixes[at], shown(a.Name))
			}
		}
		p.partial[first] = p.partial[first] || p.partial[i]
		for mac, one := range p.macs[i] {
			if other, taken := p.macs[first][mac]; taken && !one.meant && !other.meant {
				p.wrong("segment %s: MAC %s of node %s is node %s's on segment %s, which is one with it: choose another, or say that it is meant with Duplicate",
					shown(b.Name), net.HardwareAddr(mac[:]), p.nodeName(one.node), p.nodeName(other.node), shown(a.Name))
			}
			p.macs[first][mac] = one
		}
	}
	for i := range p.domain {
		if first := p.leader(i); first != i {
			p.plan.Segments[i].Prefixes = slices.Clone(p.plan.Segments[first].Prefixes)
			p.partial[i] = p.partial[first]
		}
	}
}
