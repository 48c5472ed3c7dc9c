package topo

// KindIPVLAN is a segment of Network.IPVLAN.
const KindIPVLAN Kind = "ipvlan"

var ipvlanOverlay = &overlayKind{kind: KindIPVLAN, joins: true, frames: true, bare: true, plan: func(p *planner, port *DevicePlan, at, below end) {
	port.MAC = p.plan.Nodes[below.node].Devices[below.port].MAC
	p.plan.Nodes[at.node].Ports[at.port].MAC = port.MAC
	p.checkShared(at, below)
}}

// IPVLAN declares a second interface at the ports that its nodes have on another segment, with
// addresses of its own and the port's MAC (mode l2). It is one broadcast domain with that
// segment: both have the prefixes of both. A port has MACVLANs or IPVLANs, and not both.
func (n *Network) IPVLAN(name string, over *Segment, prefixes ...string) *Segment {
	return n.overlay(ipvlanOverlay, name, over, 0, prefixes)
}

// checkShared checks that an interface is shared in one way alone.
func (p *planner) checkShared(at, below end) {
	devices := p.plan.Nodes[at.node].Devices
	own, parent := &devices[at.port], &devices[below.port]
	for i := range devices {
		other := &devices[i]
		if other.Parent == parent.Name && other.Kind != own.Kind && (other.Kind == string(KindIPVLAN) || other.Kind == string(KindMACVLAN)) {
			p.wrong("%s: %s has the %s %s already, and the kernel takes no %s there as well: take one out", p.place(at), parent.Name, other.Kind, other.Name, own.Kind)
		}
	}
	if parent.Master != "" {
		p.wrong("%s: %s is a port of %s, and the kernel takes no %s there as well: take one out", p.place(at), parent.Name, parent.Master, own.Kind)
	}
}
