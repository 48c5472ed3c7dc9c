package topo

import (
	"net/netip"
	"slices"
)

// gateways knows what a node sends to without a hop between.
type gateways struct {
	node  int
	links []link // in order of the node's ports
	sure  bool   // that these are all
}

// link is a prefix that an interface sends to.
type link struct {
	dev     string
	segment int // -1 for none
	table   int // of the interface's VRF; 0 for none
	prefix  netip.Prefix
}

// gateways are a node's. A port has an address of each prefix of its segment,
// even where none could be given after a mistake.
func (p *planner) gateways(node int) *gateways {
	g := &gateways{node: node, sure: true}
	for j := range p.network.nodes[node].ports {
		at := end{node, j}
		segment, known := p.segmentOf(at)
		if !known || p.unknown[at] || p.partial[segment] {
			g.sure = false
		}
		if !known {
			continue
		}
		dev := p.plan.Nodes[node].Devices[p.voice(at).port].Name
		table := p.vrfTable(node, dev)
		if !p.bare(at) {
			for _, prefix := range p.plan.Segments[segment].Prefixes {
				g.links = append(g.links, link{dev, segment, table, prefix})
			}
		}
		for _, addr := range p.plan.Nodes[node].Ports[j].Addrs {
			g.links = append(g.links, link{dev, segment, table, addr.Masked()})
		}
	}
	for _, device := range p.plan.Nodes[node].ownDevices() {
		segment := p.segmentNamed(device.Segment)
		for _, addr := range device.Addrs {
			g.links = append(g.links, link{device.Name, segment, p.vrfTable(node, device.Name), addr.Masked()})
		}
	}
	return g
}

// connected says whether the kernel makes a route to the prefix by itself that
// leaves no place for another: an IPv4 one, of an address that is not alone.
func (g *gateways) connected(to netip.Prefix, table int) bool {
	return to.Addr().Is4() && !to.IsSingleIP() && slices.ContainsFunc(g.links, func(l link) bool { return l.prefix == to && l.table == table })
}

// parseGateway reads a gateway's address; the zero Addr when there is none.
func (p *planner) parseGateway(where, text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	via, err := netip.ParseAddr(text)
	switch {
	case err != nil || via.Is4In6() || via.Zone() != "":
		p.wrong("%s: gateway %q: write it like 10.0.1.1 or fd00:1::1", where, text)
		return netip.Addr{}
	case via.IsUnspecified() || via.IsMulticast() || via.IsLoopback():
		p.wrong("%s: gateway %s is no neighbour's address: choose one that is", where, via)
	}
	return via
}

// resolve finds the port that a gateway is on.
func (p *planner) resolve(where string, g *gateways, route *RoutePlan, dev Interface) {
	via := route.Via
	if via.Is6() && via.IsLinkLocalUnicast() {
		if dev == nil {
			p.wrong("%s: gateway %s is link-local, which every segment has: choose one with Dev", where, via)
		}
		return
	}
	links := p.toward(g, via, route)
	switch {
	case p.ownAddress(g.node, via, links):
		p.wrong("%s: gateway %s is the node's own address: choose a neighbour's", where, via)
	case len(links) == 0 && p.behindDevice(g.node, route):
	case len(links) == 0 && !g.sure: // it may be on what is unknown
	case len(links) == 0 && dev != nil:
		p.wrong("%s: gateway %s is not on %s: choose one that is, or another device", where, via, titleOf(dev))
	case len(links) == 0:
		p.wrong("%s: gateway %s is on none of the node's segments: choose one that is", where, via)
	case via.Is4() && !usable(links[0].prefix, via):
		p.wrong("%s: gateway %s is the network or broadcast address of %s: choose another", where, via, links[0].prefix)
	case len(links) > 1 && !p.doubtful(links):
		p.wrong("%s: gateway %s is on segment %s and on segment %s: choose one with Dev", where, via,
			shown(p.plan.Segments[links[0].segment].Name), shown(p.plan.Segments[links[1].segment].Name))
	default:
		route.Dev = links[0].dev
	}
}

// toward are the links that a gateway is on, one a segment. Where some other
// node has the gateway's address on one of them alone, it is that one.
func (p *planner) toward(g *gateways, via netip.Addr, route *RoutePlan) []link {
	var links, owned []link
	table := 0
	if p.isVRF(g.node, route.Table) {
		table = route.Table
	}
	seen := map[int]bool{}
	for _, l := range g.links {
		if l.segment < 0 || !l.prefix.Contains(via) || seen[l.segment] || route.Dev != "" && l.dev != route.Dev || route.Dev == "" && l.table != table {
			continue
		}
		seen[l.segment] = true
		links = append(links, l)
		if owner, ok := p.used[l.segment][via]; ok && owner.node != g.node {
			owned = append(owned, l)
		}
	}
	if len(owned) == 1 {
		return owned
	}
	return links
}

// doubtful says whether an address on one of the links' segments was a mistake,
// so that nobody knows who was to have it.
func (p *planner) doubtful(links []link) bool {
	for _, l := range links {
		if p.doubt[l.segment] {
			return true
		}
	}
	return false
}

// ownAddress says whether the gateway is the node itself. With overlapping
// prefixes a neighbour may have one of its IPv4 addresses too, on another segment.
func (p *planner) ownAddress(node int, via netip.Addr, links []link) bool {
	plan := &p.plan.Nodes[node]
	for _, addr := range plan.Loopback {
		if addr.Addr() == via {
			return true
		}
	}
	for j := range plan.Devices {
		for _, addr := range plan.Devices[j].Addrs {
			elsewhere := len(links) == 1 && !p.isOn(plan.Devices[j].Segment, links[0].segment)
			if addr.Addr() == via && (via.Is6() || !elsewhere) {
				return true
			}
		}
	}
	return false
}

// vrfTable is the table of the VRF that an interface is a port of; 0 for none.
func (p *planner) vrfTable(node int, name string) int {
	if len(p.plan.Nodes[node].ownDevices()) == 0 {
		return 0
	}
	for d, is := p.plan.Nodes[node].Device(name); is; d, is = p.plan.Nodes[node].Device(d.Master) {
		if d.Table != 0 {
			return d.Table
		}
	}
	return 0
}

// isVRF says whether a table is that of a VRF of the node.
func (p *planner) isVRF(node, table int) bool {
	return table != 0 && slices.ContainsFunc(p.plan.Nodes[node].ownDevices(), func(d DevicePlan) bool { return d.Table == table })
}

// behindDevice says whether an earlier route without a gateway makes this one's
// gateway a neighbour, and takes its device.
func (p *planner) behindDevice(node int, route *RoutePlan) bool {
	for _, r := range p.plan.Nodes[node].Routes {
		if r.Type == Unicast && !r.Via.IsValid() && r.To.Contains(route.Via) &&
			(r.Table == 0 || r.Table == route.Table) && (route.Dev == "" || route.Dev == r.Dev) {
			route.Dev = r.Dev
			return true
		}
	}
	return false
}
