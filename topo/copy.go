package topo

import (
	"net/netip"
	"slices"
)

// held is what a port, a device or a segment has in a plan by which something was built:
// what stays of it keeps that, whatever is declared or taken away beside it.
type held struct {
	name  string // of the interface, or of a switch's bridge
	outer string // a switch's end
	index int
	id    int // as in DevicePlan
	mac   [6]byte
	addrs []netip.Prefix
}

// aliases are what those that a declaration was copied from go by in the copy, so that who
// kept one of them means the same.
type aliases struct {
	segments map[*Segment]*Segment
	devices  map[*Device]*Device
	nodes    map[*Node]*Node
}

// Copy is a copy of the declaration: what is declared on one is not on the other. A
// segment or a device of the original, named in the copy, means the copy's own.
//
// With the plan that the declaration came to, the plan of the copy keeps what is in it for all
// that stays: interfaces have the names, indexes, MACs and addresses that they had, whatever
// is declared or taken away beside them. Without, nil, it is as if declared anew.
func (n *Network) Copy(keeping *Plan) *Network {
	if n == nil {
		return nil
	}
	c := &Network{name: n.name, older: n.older.through(n)}
	for i, s := range n.segments {
		copied := c.older.segments[s]
		c.segments = append(c.segments, copied)
		if keeping != nil {
			copied.held = &held{name: keeping.Segments[i].Bridge}
			c.fabric = append(c.fabric, copied.held.name)
		}
	}
	outers := keeping.outers()
	for _, outer := range outers {
		c.fabric = append(c.fabric, outer)
	}
	for i, node := range n.nodes {
		copied := c.older.nodes[node]
		c.nodes = append(c.nodes, copied)
		if keeping != nil {
			copied.hold(&keeping.Nodes[i], outers)
		}
	}
	c.adopt()
	return c
}

// through makes the copies, and says what goes by which of them.
func (a aliases) through(n *Network) aliases {
	next := aliases{map[*Segment]*Segment{}, map[*Device]*Device{}, map[*Node]*Node{}}
	for _, s := range n.segments {
		copied := *s
		copied.texts, copied.flows, copied.patches = slices.Clone(s.texts), slices.Clone(s.flows), slices.Clone(s.patches)
		next.segments[s] = &copied
	}
	for _, node := range n.nodes {
		copied := node.copied()
		for i, d := range node.devices {
			next.devices[d] = copied.devices[i]
		}
		next.nodes[node] = copied
	}
	follow(next.segments, a.segments)
	follow(next.devices, a.devices)
	follow(next.nodes, a.nodes)
	return next
}

// follow has what goes by a thing go by its copy; what was taken away goes by nothing.
func follow[T any](next, older map[*T]*T) {
	for old, now := range older {
		if copied, stays := next[now]; stays {
			next[old] = copied
		}
	}
}

func (n *Node) copied() *Node {
	c := *n
	c.ports, c.loopback, c.sysctls = slices.Clone(n.ports), slices.Clone(n.loopback), slices.Clone(n.sysctls)
	c.texts, c.devices = slices.Clone(n.texts), make([]*Device, len(n.devices))
	c.routes = nil
	c.Route(n.routes...)
	c.rules = slices.Clone(n.rules)
	for i, d := range n.devices {
		copied := *d
		copied.ports, copied.addrs = slices.Clone(d.ports), slices.Clone(d.addrs)
		c.devices[i] = &copied
	}
	return &c
}

// hold has a node's interfaces keep what the plan gave them.
func (n *Node) hold(made *NodePlan, outers map[[2]string]string) {
	n.was = true
	for j := range n.ports {
		port := made.Ports[j]
		n.ports[j].held = &held{
			name: port.Name, outer: outers[[2]string{made.Name, port.Name}], index: made.Devices[j].Index, id: made.Devices[j].ID, mac: port.MAC, addrs: made.heldAddrs(j),
		}
	}
	for j, d := range n.devices {
		d.held = &held{index: made.Devices[len(n.ports)+j].Index}
	}
	for _, d := range made.Devices {
		n.last = max(n.last, d.Index)
	}
}

// heldAddrs are the addresses that a port was given, which its bridge may have.
func (n *NodePlan) heldAddrs(j int) []netip.Prefix {
	at := &n.Devices[j]
	for at.Master != "" && len(n.Ports[j].Addrs) == 0 {
		master, has := n.Device(at.Master)
		if !has {
			break
		}
		at = master
	}
	return at.Addrs
}

// outers are the switches' ends of ports, by node and interface.
func (p *Plan) outers() map[[2]string]string {
	if p == nil {
		return nil
	}
	outers := map[[2]string]string{}
	for i := range p.Segments {
		for _, ref := range p.Segments[i].Ports {
			if ref.Outer != "" { // else it is no switch's
				outers[[2]string{ref.Node, ref.Port}] = ref.Outer
			}
		}
	}
	return outers
}

// adopt has what the declaration names be its own, where it is a copy.
func (n *Network) adopt() {
	if n.older.segments == nil {
		return
	}
	for _, s := range n.segments {
		s.network, s.over = n, n.segmentOf(s.over)
		for j := range s.patches {
			s.patches[j] = n.segmentOf(s.patches[j])
		}
	}
	for _, node := range n.nodes {
		node.network = n
		for j := range node.ports {
			port := &node.ports[j]
			port.segment, port.under = n.segmentOf(port.segment), n.segmentOf(port.under)
		}
		for _, d := range node.devices {
			for j := range d.ports {
				d.ports[j] = n.interfaceOf(d.ports[j])
			}
		}
		for j := range node.routes {
			node.routes[j] = n.adoptRoute(node.routes[j])
		}
		for j := range node.rules {
			node.rules[j] = n.adoptRule(node.rules[j])
		}
		for j := range node.texts {
			node.texts[j].nat.dev = n.interfaceOf(node.texts[j].nat.dev)
		}
	}
}

func (n *Network) adoptRoute(r Route) Route {
	r.Dev, r.Hops = n.interfaceOf(r.Dev), slices.Clone(r.Hops)
	for k := range r.Hops {
		r.Hops[k].Dev = n.interfaceOf(r.Hops[k].Dev)
	}
	return r
}

func (n *Network) adoptRule(r Rule) Rule {
	r.In, r.Out = n.interfaceOf(r.In), n.interfaceOf(r.Out)
	return r
}

// segmentOf is the declaration's own segment that one is meant by.
func (n *Network) segmentOf(s *Segment) *Segment {
	if own := n.older.segments[s]; own != nil {
		return own
	}
	return s
}

func (n *Network) interfaceOf(of Interface) Interface {
	switch of := of.(type) {
	case *Segment:
		if of != nil {
			return n.segmentOf(of)
		}
	case Port:
		of.segment = n.segmentOf(of.segment)
		return of
	case *Device:
		if own := n.older.devices[of]; own != nil {
			return own
		}
	}
	return of
}
