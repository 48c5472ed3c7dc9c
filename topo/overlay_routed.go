package topo

import (
	"net/netip"
	"slices"
)

// Over is a port as in Port.Over.
func (s *Segment) Over(underlay *Segment) Port { return s.port().Over(underlay) }

// Over has what carries an end of a tunnel (VXLAN, Geneve, GRE, IPIP, SIT, WireGuard) leave by the
// node's port on another segment than the tunnel is declared over, and pass routers from there to
// the other ends. The node gets a route to each of those where none of its own leads there
// that way, also with NoRoutes: what it declares stays, unless the tunnel would carry itself. The
// MTU is that of the least link on the ways between the ends, less what the tunnel adds.
//
//	home, office := world.Switch("home", "192.0.2.0/24"), world.Switch("office", "198.51.100.0/24")
//	vpn := world.WireGuard("vpn", office, "10.8.0.0/24")
//	world.Router("internet", home, office)
//	world.Router("gateway", office, vpn, servers)
//	world.Host("laptop", home, vpn.Over(home))
func (p Port) Over(underlay *Segment) Port {
	p.under, p.elsewhere = underlay, true
	return p
}

// below is the segment that carries what the port sends; nil of one that is over none.
func (p *Port) below() *Segment {
	if p.elsewhere {
		return p.under
	}
	return p.segment.over
}

// carrier is how what carries a tunnel comes from an end of it to another, over routers.
type carrier struct {
	at      end
	overlay int // the tunnel's segment
	to, via netip.Addr
	dev     string
}

// checkOvers checks the segments that ports were said to be over.
func (p *planner) checkOvers() {
	for i, node := range p.network.nodes {
		for j := range node.ports {
			at, port := end{i, j}, &node.ports[j]
			if on, known := p.segments[port.segment]; known && port.elsewhere && !p.checkOver(at, on, port) {
				p.astray[at] = true
			}
		}
	}
}

func (p *planner) checkOver(at end, on int, port *Port) bool {
	kind, under := port.segment.overlay, port.under
	below, known := p.segments[under]
	switch {
	case kind == nil:
		p.wrong("%s: %s is over no other segment: leave Over out", p.place(at), port.segment.kind)
	case !kind.wraps():
		p.wrong("%s: %s is made of the frames of segment %s, which pass no router: leave Over out", p.place(at), kind.kind, shown(port.segment.over.Name()))
	case !known:
		p.wrong("%s: it is over %s: declare that in this network", p.place(at), foreign(under))
	case below == on:
		p.wrong("%s: it is over itself: choose the segment that is to carry it", p.place(at))
	case below > on:
		p.wrong("%s: segment %s, which it is over there, is declared later: declare it first", p.place(at), shown(under.name))
	default:
		p.plan.Segments[on].Routed = p.plan.Segments[on].Routed || under != port.segment.over
		return true
	}
	return false
}

// wraps says whether its packets travel in packets of the nodes' own, which routers pass on.
func (k *overlayKind) wraps() bool { return k.overhead[0] > 0 }

// isOver says whether a segment is a tunnel, or may be over it: those are declared later.
func (p *planner) isOver(segment, tunnel int) bool {
	return segment >= tunnel && p.network.segments[segment].overlay != nil
}

// planCarriers finds the ways between the ends of a tunnel, of which some are elsewhere. The
// answer is the MTU that all of them have; 0 where the ends are on one segment.
func (p *planner) planCarriers(segment int) (mtu int) {
	if !p.plan.Segments[segment].Routed || len(p.mistakes) > 0 { // else what is not found follows from those
		return 0
	}
	if p.plan.index == nil {
		p.plan.index = newIndex(p.plan, p.domains())
	}
	for k, at := range p.ends[segment] {
		parent := end{at.node, p.parentOf(at)}
		device := &p.plan.Nodes[at.node].Devices[parent.port]
		if p.plan.index.domainOf(at.node, device) != at.node {
			p.wrong("%s: %s is in a VRF, and what carries the tunnel is routed by the node's main table: choose another port", p.place(at), device.Name)
			continue
		}
		g := p.plan.index.graphs[familyIndex(p.localEnd(at).Is6())]
		ways := p.waysBelow(g, parent, segment)
		for other, far := range p.ends[segment] {
			to := p.localEnd(far)
			way, found := ways.to(g, to)
			switch {
			case other == k:
				continue
			case found && (mtu == 0 || way.mtu < mtu):
				mtu = way.mtu
			case !found && other > k: // each pair once
				p.wrong("%s: no routers lead from segment %s to %s of node %s, the other end: add one, or choose another segment",
					p.place(at), shown(device.Segment), to, p.nodeName(far.node))
			}
			if found && way.gateway.IsValid() {
				p.carriers = append(p.carriers, carrier{at, segment, to, way.gateway, device.Name})
			}
		}
	}
	return mtu
}

// localEnd is a port's own end of a tunnel.
func (p *planner) localEnd(at end) netip.Addr { return p.plan.Nodes[at.node].Devices[at.port].Local }

// wayBelow is how an interface reaches a subnet: by which gateway, and over links of what MTU.
type wayBelow struct {
	subnet  int
	gateway netip.Addr
	mtu     int
}

type waysBelow []wayBelow

// to is the way to an address.
func (w waysBelow) to(g *graph, addr netip.Addr) (wayBelow, bool) {
	for _, way := range w {
		if g.subnets[way.subnet].prefix.Contains(addr) {
			return way, true
		}
	}
	return wayBelow{}, false
}

// waysBelow finds how one interface alone reaches subnets, the nearest first, by no segment
// that may be over a tunnel.
func (p *planner) waysBelow(g *graph, from end, tunnel int) (ways waysBelow) {
	seen := make([]bool, len(g.subnets))
	add := func(way wayBelow) {
		if !seen[way.subnet] && !p.isOver(g.subnets[way.subnet].segment, tunnel) {
			seen[way.subnet] = true
			ways = append(ways, way)
		}
	}
	device := &p.plan.Nodes[from.node].Devices[from.port]
	for _, k := range g.of[p.plan.index.segments[device.Segment]] {
		prefix := g.subnets[k].prefix
		if slices.ContainsFunc(device.Addrs, func(a netip.Prefix) bool { return a.Bits() <= prefix.Bits() && prefix.Contains(a.Addr()) }) {
			add(wayBelow{subnet: k, mtu: effectiveMTU(device.MTU)})
		}
	}
	for i := 0; i < len(ways); i++ {
		for _, router := range g.subnets[ways[i].subnet].routers {
			if router.node == from.node {
				continue
			}
			for _, s := range g.seats[router.domain] {
				next := wayBelow{s.subnet, ways[i].gateway, min(ways[i].mtu, p.mtuOf(router), p.mtuOf(s))}
				if !next.gateway.IsValid() {
					next.gateway = router.addr
				}
				add(next)
			}
		}
	}
	return ways
}

func (p *planner) mtuOf(s seat) int { return effectiveMTU(p.plan.Nodes[s.node].Devices[s.port].MTU) }

// checkCarriers reports routes that were declared and would have a tunnel carry itself.
func (p *planner) checkCarriers() {
	for _, c := range p.carriers {
		for _, route := range p.plan.Nodes[c.at.node].Routes {
			if route.Table == 0 && route.To.IsSingleIP() && route.To.Addr() == c.to && p.leadsOver(c, route) {
				p.wrong("%s: the route to %s, the other end, leads into the tunnel that it is to carry: take it out", p.place(c.at), route.To)
			}
		}
	}
}

// carrierRoutes gives nodes the routes to other ends of tunnels that they lack.
func (p *planner) carrierRoutes() {
	for _, c := range p.carriers {
		node := &p.plan.Nodes[c.at.node]
		route, found := node.routeTo(c.to)
		if found && (!route.Auto && !p.leadsOver(c, route) || route.Dev == c.dev) {
			continue
		}
		node.Routes = append(node.Routes, RoutePlan{To: netip.PrefixFrom(c.to, c.to.BitLen()), Via: c.via, Dev: c.dev, Auto: true})
	}
}

// leadsOver says whether a route leads into a tunnel that a carrier is to carry.
func (p *planner) leadsOver(c carrier, route RoutePlan) bool {
	devs := []string{route.Dev}
	for _, hop := range route.Hops {
		devs = append(devs, hop.Dev)
	}
	return slices.ContainsFunc(devs, func(dev string) bool {
		d, is := p.plan.Nodes[c.at.node].Device(dev)
		return is && p.isOver(p.segmentNamed(d.Segment), c.overlay)
	})
}

// routeTo is the route to an address in the main table: of the longest prefix, and of those the
// least metric. What the node is on itself counts as one that the plan found.
func (n *NodePlan) routeTo(addr netip.Addr) (best RoutePlan, found bool) {
	for _, d := range n.Devices {
		for _, own := range d.Addrs {
			if own.Contains(addr) && (!found || own.Bits() > best.To.Bits()) {
				best, found = RoutePlan{To: own.Masked(), Dev: d.Name, Auto: true}, true
			}
		}
	}
	for _, route := range n.Routes {
		if route.Table == 0 && route.To.Contains(addr) && (!found || route.To.Bits() > best.To.Bits() || route.To.Bits() == best.To.Bits() && route.Metric < best.Metric) {
			best, found = route, true
		}
	}
	return best, found
}
