package topo

import (
	"fmt"
	"slices"
	"strings"
)

// Part is what can be taken out of a declaration: a *Node, a *Segment or a *Device.
type Part interface{ in(n *Network) }

// Node is the node of that name, to declare more of it. Where there is none Plan says so.
func (n *Network) Node(name string) *Node {
	if n == nil {
		return &Node{name: name} // Plan says what is wrong
	}
	var names []string
	for _, node := range n.nodes {
		if node.name == name {
			return node
		}
		names = append(names, shown(node.name))
	}
	n.lacks("node", name, names)
	return &Node{name: name}
}

// Segment is the segment of that name. Where there is none Plan says so.
func (n *Network) Segment(name string) *Segment {
	if n == nil {
		return &Segment{name: name}
	}
	var names []string
	for _, s := range n.segments {
		if s.name == name {
			return s
		}
		names = append(names, shown(s.name))
	}
	n.lacks("segment", name, names)
	return &Segment{network: n, name: name}
}

// lacks notes that there is no such thing.
func (n *Network) lacks(what, name string, names []string) {
	has := "it has none"
	if len(names) > 0 {
		has = "it has: " + andMore(names[:min(len(names), maxListed)], len(names))
	}
	n.absent = append(n.absent, fmt.Errorf("there is no %s %s; %s", what, shown(name), has))
}

// Remove takes nodes out of the declaration, and segments with the ports that are on them,
// and devices of nodes' own.
func (n *Network) Remove(parts ...Part) {
	if n == nil {
		return
	}
	for _, part := range parts {
		if part == nil {
			n.absent = append(n.absent, fmt.Errorf("remove: there is nothing: give a node, a segment or a device"))
			continue
		}
		part.in(n)
	}
}

func (s *Segment) in(n *Network) {
	own := n.segmentOf(s)
	at := slices.Index(n.segments, own)
	if at < 0 {
		n.absent = append(n.absent, fmt.Errorf("remove segment %s: it is not of this network", shown(s.Name())))
		return
	}
	n.segments = slices.Delete(n.segments, at, at+1)
	n.went("segment", own.name, own.held != nil)
	for _, node := range n.nodes {
		node.ports = slices.DeleteFunc(node.ports, func(p Port) bool { return n.segmentOf(p.segment) == own })
	}
}

func (n *Node) in(network *Network) {
	own := n
	if copied := network.older.nodes[n]; copied != nil {
		own = copied
	}
	at := slices.Index(network.nodes, own)
	if at < 0 {
		name := ""
		if n != nil {
			name = n.name
		}
		network.absent = append(network.absent, fmt.Errorf("remove node %s: it is not of this network", shown(name)))
		return
	}
	network.nodes = slices.Delete(network.nodes, at, at+1)
	network.went("node", own.name, own.was)
	network.withoutPairs(own.name)
}

func (d *Device) in(n *Network) {
	own := d
	if copied := n.older.devices[d]; copied != nil {
		own = copied
	}
	for _, node := range n.nodes {
		if at := slices.Index(node.devices, own); at >= 0 {
			node.devices = slices.Delete(node.devices, at, at+1)
			return
		}
	}
	n.absent = append(n.absent, fmt.Errorf("remove device: no node of this network has it"))
}

// went notes that something is gone which was built: another of its name would be taken for it.
func (n *Network) went(what, name string, built bool) {
	if n.gone == nil {
		n.gone = map[string]bool{}
	}
	n.gone[what+" "+name] = n.gone[what+" "+name] || built
}

// checkGone reports what was taken away and declared again.
func (p *planner) checkGone() {
	for _, s := range p.network.segments {
		if s.held == nil && p.network.gone["segment "+s.name] {
			p.wrong("segment %s: it was taken away, and is declared again in the same change: make two of it", shown(s.name))
		}
	}
	for _, node := range p.network.nodes {
		if !node.was && p.network.gone["node "+node.name] {
			p.wrong("node %s: it was taken away, and is declared again in the same change: make two of it", shown(node.name))
		}
	}
}

// Attach puts the node on further segments.
func (n *Node) Attach(at ...Attachment) *Node {
	for _, a := range at {
		n.ports = append(n.ports, portOf(a))
	}
	return n
}

// Detach takes the node off segments: all its ports there. Of a Port that was given a name
// with As, that one alone.
func (n *Node) Detach(from ...Attachment) *Node {
	for _, a := range from {
		port := portOf(a)
		if n.network != nil {
			port.segment = n.network.segmentOf(port.segment)
		}
		before := len(n.ports)
		n.ports = slices.DeleteFunc(n.ports, func(has Port) bool {
			return has.segment == port.segment && (port.as == "" || has.as == port.as)
		})
		if len(n.ports) == before && n.network != nil {
			n.network.absent = append(n.network.absent, fmt.Errorf("node %s: it has no port on segment %s that could be taken away%s",
				shown(n.name), shown(port.segment.Name()), n.on()))
		}
	}
	return n
}

// on lists the segments of a node.
func (n *Node) on() string {
	var names []string
	for j := range n.ports {
		names = append(names, shown(n.ports[j].segment.Name()))
	}
	if len(names) == 0 {
		return ""
	}
	return "; it is on: " + strings.Join(names, ", ")
}

// NoRoute takes declared routes to a destination back, as it was written: "10.1.0.0/16",
// "default".
func (n *Node) NoRoute(to ...string) *Node {
	for _, text := range to {
		before := len(n.routes)
		n.routes = slices.DeleteFunc(n.routes, func(r Route) bool { return destinationName(r.To) == destinationName(text) })
		if len(n.routes) == before && n.network != nil {
			n.network.absent = append(n.network.absent, fmt.Errorf("node %s: no route to %s was declared that could be taken away", shown(n.name), destinationName(text)))
		}
	}
	return n
}
