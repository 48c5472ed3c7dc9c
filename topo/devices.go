package topo

import "slices"

// planDevices plans the nodes' interfaces: their ports, then the devices of their own.
func (p *planner) planDevices(macs map[[6]byte]bool) {
	p.domain = make([]int, len(p.plan.Segments))
	for i := range p.domain {
		p.domain[i] = i
	}
	p.master = map[end]int{}
	for i, node := range p.network.nodes {
		plan := &p.plan.Nodes[i]
		plan.portDevices() // which have no addresses yet
		plan.Devices = slices.Grow(plan.Devices, len(node.devices))
		for _, d := range node.devices {
			p.planDevice(i, d, macs)
		}
	}
	p.holdIndexes()
	p.joinOverlays()
	p.joinPatches()
	p.joinSegments()
}

// holdIndexes leaves those interfaces theirs that have one, and gives new ones greater ones.
func (p *planner) holdIndexes() {
	for i, node := range p.network.nodes {
		if !node.was {
			continue
		}
		next := max(node.last+1, FirstIndex)
		for j := range p.plan.Nodes[i].Devices {
			var was *held
			if j < len(node.ports) {
				was = node.ports[j].held
			} else {
				was = node.devices[j-len(node.ports)].held
			}
			index := &p.plan.Nodes[i].Devices[j].Index
			if was != nil {
				*index = was.index
				continue
			}
			*index = next
			next++
		}
	}
}

const (
	PortKind = "veth" // what a port is to the kernel
	// FirstIndex is that of a node's first interface. The loopback's is 1; those between are left
	// to the tunnels without an end (tunl0, gre0, sit0) that a kernel puts into every new
	// namespace once it has their modules: nine, in Linux 6.18.
	FirstIndex = 16
)

// planDevice plans one, its addresses left out.
func (p *planner) planDevice(node int, d *Device, macs map[[6]byte]bool) {
	plan := &p.plan.Nodes[node]
	where := "node " + p.nodeName(node) + ": " + titleOf(d)
	made := DevicePlan{Name: d.name, Kind: d.kind.name, Index: FirstIndex + len(plan.Devices), MTU: d.mtu}
	if problem := nameProblem(d.name); problem != "" {
		p.wrong("%s: %s", where, problem)
	} else if slices.ContainsFunc(plan.Devices, func(other DevicePlan) bool { return other.Name == d.name }) {
		p.wrong("%s: the node has an interface of that name already: choose another", where)
	}
	if d.mac != "" {
		var err error
		if made.MAC, err = parseMAC(d.mac); err != nil {
			p.wrong("%s: %v", where, err)
		}
	} else if d.kind.mac {
		made.MAC = makeMAC(macs, p.network.name, plan.Name, d.name, d.kind.name)
	}
	at := end{node, len(plan.Devices)}
	plan.Devices = append(plan.Devices, made)
	if d.kind.check != nil {
		d.kind.check(p, where, at, d)
	}
	p.planMembers(where, at, d)
}

// planMembers makes a device the master of its ports.
func (p *planner) planMembers(where string, at end, d *Device) {
	if len(d.ports) < d.kind.least {
		p.wrong("%s: it has %s: give it %d", where, plural(len(d.ports), "port"), d.kind.least)
	}
	devices := p.plan.Nodes[at.node].Devices
	for _, member := range d.ports {
		j, problem := p.interfaceOf(at.node, member)
		switch {
		case problem == anUnknown:
		case problem != "":
			p.wrong("%s: %s", where, problem)
		case j == at.port:
			p.wrong("%s: it is a port of itself: take it out", where)
		case d.kind.joins && p.frameless(end{at.node, j}) != "":
			p.wrong("%s: port %s is %s, which carries packets and no frames: take it out", where, devices[j].Name, p.frameless(end{at.node, j}))
		case devices[j].Master != "":
			p.wrong("%s: port %s is one of %s already: take it out of one", where, devices[j].Name, devices[j].Master)
		default:
			devices[j].Master = d.name
			p.master[end{at.node, j}] = at.port
			if d.kind.joins {
				p.joins(at, j)
			}
		}
	}
}

// frameless is what an interface is that carries packets alone; "" for one with frames.
func (p *planner) frameless(at end) string {
	ports := p.network.nodes[at.node].ports
	switch {
	case at.port >= len(ports) && p.kindOf(at).bare:
		return "a " + p.kindOf(at).name
	case at.port < len(ports) && ports[at.port].segment.overlay.isBare():
		return "on a segment of " + ports[at.port].segment.kind.String()
	}
	return ""
}

// bare says whether a port gets no address by itself: it was declared so, or another
// port of the same bridge gets the bridge's.
func (p *planner) bare(at end) bool {
	node := p.network.nodes[at.node]
	voice := p.voice(at)
	if node.ports[at.port].bare || voice == at {
		return node.ports[at.port].bare
	}
	for j := range at.port {
		if p.voice(end{at.node, j}) == voice && !node.ports[j].bare {
			return true
		}
	}
	return false
}

// kindOf is the row of a node's own device.
func (p *planner) kindOf(at end) *deviceKind {
	node := p.network.nodes[at.node]
	return node.devices[at.port-len(node.ports)].kind
}

// deviceAddresses gives every interface its addresses: a port the planned ones, unless
// its bridge takes them over, and a device those that were chosen.
func (p *planner) deviceAddresses() {
	for i, node := range p.network.nodes {
		plan := &p.plan.Nodes[i]
		for j := range plan.Ports {
			at := p.voice(end{i, j})
			devices := plan.Devices
			devices[at.port].Addrs = append(devices[at.port].Addrs, plan.Ports[j].Addrs...)
			if at.port != j {
				plan.Ports[j].Addrs = nil
			}
		}
		for k, d := range node.devices {
			p.chosenAddresses(end{i, len(node.ports) + k}, d)
		}
	}
}

func (p *planner) chosenAddresses(at end, d *Device) {
	plan := &p.plan.Nodes[at.node].Devices[at.port]
	where := "node " + p.nodeName(at.node) + ": " + titleOf(d)
	if len(d.addrs) > 0 && p.voice(at) != at {
		p.wrong("%s: it is a port of %s, which has the addresses: give that one this", where, plan.Master)
	}
	for _, text := range d.addrs {
		prefix, ok := p.parseAddress(where, text)
		if !ok {
			continue
		}
		if segment := p.segmentNamed(plan.Segment); segment >= 0 {
			p.take(where, end{at.node, p.firstPort(at)}, segment, prefix.Addr(), plan.Addrs)
		}
		plan.Addrs = append(plan.Addrs, prefix)
	}
}

// firstPort is the first port of a node below a device.
func (p *planner) firstPort(at end) int {
	for j := range p.network.nodes[at.node].ports {
		if p.voice(end{at.node, j}) == at {
			return j
		}
	}
	return 0
}

// voice is the interface that speaks for another: the bridge whose port it is, or the
// interface itself.
func (p *planner) voice(at end) end {
	for {
		master, has := p.master[at]
		if !has || !p.kindOf(end{at.node, master}).joins {
			return at
		}
		at.port = master
	}
}

// portDevices makes the ports the node's interfaces.
func (n *NodePlan) portDevices() {
	n.Devices = make([]DevicePlan, len(n.Ports))
	for j, port := range n.Ports {
		n.Devices[j] = DevicePlan{
			Name: port.Name, Kind: PortKind, Index: FirstIndex + j, Segment: port.Segment, MAC: port.MAC, MTU: port.MTU, Addrs: port.Addrs,
		}
	}
}
