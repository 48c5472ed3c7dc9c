package topo

import "slices"

// Interface is a network interface of a node, as something about the node refers to
// it: a *Segment, which means the node's first port there; a Port that was given a
// name with As; or a *Device.
type Interface interface {
	// on is the name in the node, by number.
	on(p *planner, node int) (name string, problem string)
}

// titleOf is an interface as messages print it.
func titleOf(of Interface) string {
	switch of := of.(type) {
	case *Device:
		return of.kind.name + " " + shown(of.name)
	case Port:
		return "segment " + shown(of.segment.Name())
	case *Segment:
		return "segment " + shown(of.Name())
	}
	return "no interface"
}

// noInterface is the problem of a reference to nothing.
const noInterface = "there is no interface: give a segment, a named port or a device"

// anUnknown is the problem of a reference to what was a mistake already.
const anUnknown = "unknown"

// interfaceOf finds what a declaration refers to among a node's interfaces.
func (p *planner) interfaceOf(node int, of Interface) (index int, problem string) {
	if of == nil {
		return 0, noInterface
	}
	name, problem := of.on(p, node)
	if problem != "" {
		return 0, problem
	}
	return slices.IndexFunc(p.plan.Nodes[node].Devices, func(d DevicePlan) bool { return d.Name == name }), ""
}

func (s *Segment) on(p *planner, node int) (string, string) {
	if s == nil {
		return "", noInterface
	}
	for j := range p.network.nodes[node].ports {
		on, known := p.segmentOf(end{node, j}) // an access port's VLAN
		if p.network.nodes[node].ports[j].segment == s || known && p.network.segments[on] == s {
			if p.unknown[end{node, j}] && p.plan.Nodes[node].Ports[j].Name == "" {
				return "", anUnknown
			}
			return p.plan.Nodes[node].Ports[j].Name, ""
		}
	}
	return "", "the node is not on segment " + shown(s.name) + ": attach it, or choose another device"
}

func (p Port) on(planner *planner, node int) (string, string) {
	if p.as == "" {
		return p.segment.on(planner, node)
	}
	for j := range planner.network.nodes[node].ports {
		if port := &planner.network.nodes[node].ports[j]; port.as == p.as && port.segment == p.segment {
			return planner.plan.Nodes[node].Ports[j].Name, ""
		}
	}
	return "", "the node has no port " + shown(p.as) + " on segment " + shown(p.segment.Name()) + ": attach it, or choose another"
}

func (d *Device) on(p *planner, node int) (string, string) {
	if d == nil {
		return "", noInterface
	}
	at := slices.Index(p.network.nodes[node].devices, d)
	switch {
	case at < 0:
		return "", "the node has no " + titleOf(d) + " of that declaration: choose one of its own"
	case len(p.network.nodes[node].ports)+at >= len(p.plan.Nodes[node].Devices):
		return "", titleOf(d) + " is declared later: declare it first"
	}
	return d.name, ""
}
