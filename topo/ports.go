package topo

import "slices"

// planNodes plans the nodes' ports and all that needs no address.
func (p *planner) planNodes() {
	p.ends = make([][]end, len(p.plan.Segments))
	p.macs = make([]map[[6]byte]claim, len(p.plan.Segments))
	macs, outer := p.chosenMACs(), newNamer()
	for i := range p.plan.Segments {
		p.macs[i] = map[[6]byte]claim{}
		if bridge := p.plan.Segments[i].Bridge; bridge != "" {
			outer.taken[bridge] = true
		}
	}
	for _, name := range p.network.fabric {
		outer.taken[name] = true
	}
	p.planPatches(outer)
	for i, node := range p.network.nodes {
		p.plan.Nodes = append(p.plan.Nodes, NodePlan{
			Name: node.name, Router: node.router, Forward: node.forward, NoRoutes: node.noRoutes,
			Sysctls: slices.Clone(node.sysctls),
		})
		names := newNamer()
		p.chosenNames(i, names)
		p.plan.Nodes[i].Ports = make([]PortPlan, len(node.ports))
		for j := range node.ports {
			p.planPort(end{i, j}, names, macs, outer)
		}
	}
	p.planDevices(macs)
	for i := range p.network.nodes {
		p.checkSysctls(i)
	}
}

// planPort fills a port's plan in. That of a port on no segment of this network
// stays empty.
func (p *planner) planPort(at end, names *namer, macs map[[6]byte]bool, outer *namer) {
	node := p.network.nodes[at.node]
	port := &node.ports[at.port]
	on, known := p.segments[port.segment]
	if !known {
		p.wrong("node %s: attached to %s: declare it in this network", shown(node.name), foreign(port.segment))
		p.unknown[at] = true
		return
	}
	segment := &p.plan.Segments[on]
	plan := &p.plan.Nodes[at.node].Ports[at.port]
	*plan = PortPlan{Segment: segment.Name, Name: port.as, MTU: port.mtu}
	ownSegment, _ := p.segmentOf(at)
	if ownSegment != on {
		plan.Segment, plan.Over = p.network.segments[ownSegment].name, segment.Name
	}
	if !port.named {
		plan.Name = names.keep(port.held, segment.Name)
	}
	if plan.MTU == 0 {
		plan.MTU = segment.MTU
	}
	switch {
	case p.network.segments[on].overlay.isBare():
		if port.chosenMAC {
			p.wrong("%s: MAC %s: ports of %s have none: leave it out", p.place(at), port.mac, segment.Kind)
		}
	case port.chosenMAC:
		plan.MAC = p.chosenMAC(at, ownSegment)
	case port.held != nil:
		plan.MAC = port.held.mac
	default:
		plan.MAC = makeMAC(macs, p.network.name, node.name, segment.Name)
	}
	plan.Switch = p.planSwitchPort(at, segment.Name, segment.Kind, plan.MAC)
	ref := PortRef{Node: node.name, Port: plan.Name}
	switch {
	case !segment.Kind.IsSwitch():
	case port.held != nil:
		ref.Outer = port.held.outer
	default:
		ref.Outer = outer.name(node.name)
	}
	segment.Ports = append(segment.Ports, ref)
	if ownSegment != on {
		vlan := &p.plan.Segments[ownSegment]
		vlan.Ports = append(vlan.Ports, PortRef{Node: ref.Node, Port: ref.Port})
	}
	p.ends[on] = append(p.ends[on], at)
}

// chosenNames takes those that ports and devices were given, so that no other gets one.
func (p *planner) chosenNames(node int, names *namer) {
	for j := range p.network.nodes[node].ports {
		port := &p.network.nodes[node].ports[j]
		if port.held != nil {
			names.taken[port.held.name] = true
		}
		if !port.named || port.held != nil {
			continue
		}
		where := p.place(end{node, j})
		if problem := nameProblem(port.as); problem != "" {
			p.wrong("%s: name %q: %s", where, port.as, problem)
		} else if names.taken[port.as] {
			p.wrong("%s: name %s: another port of the node has it: choose another", where, port.as)
		}
		names.taken[port.as] = true
	}
	for _, d := range p.network.nodes[node].devices {
		names.taken[d.name] = true
	}
}

// foreign is what a segment that is not the network's is called.
func foreign(s *Segment) string {
	switch {
	case s == nil:
		return "no segment"
	case s.network == nil:
		return "segment " + shown(s.name) + " of no network"
	}
	return "segment " + shown(s.name) + " of network " + shown(s.network.name)
}
