package topo

import (
	"net/netip"
	"slices"
)

// automaticRoutes gives every node its routes of each family.
func (p *planner) automaticRoutes() {
	walks := []*walk{newWalk(p.plan.index.graphs[0]), newWalk(p.plan.index.graphs[1])}
	for domain, d := range p.plan.index.domains {
		plan, declared := &p.plan.Nodes[d.node], map[netip.Prefix]bool{}
		if p.network.nodes[d.node].noRoutes {
			continue
		}
		for _, route := range plan.Routes {
			if route.Table == d.table {
				declared[route.To] = true
			}
		}
		for f, w := range walks {
			p.find(w, domain, f == 1, declared)
			plan.Routes = append(slices.Grow(plan.Routes, len(w.routes)), w.routes...)
		}
	}
	p.closeVRFs()
}

// closeVRFs ends in each VRF's table what has no route there, which would be looked up in
// the node's other tables else.
func (p *planner) closeVRFs() {
	const last = 4278198272 // as Documentation/networking/vrf.rst has it
	for i := range p.plan.Nodes {
		plan := &p.plan.Nodes[i]
		for _, d := range plan.ownDevices() {
			if d.Table == 0 {
				continue
			}
			plan.Routes = append(plan.Routes, RoutePlan{Type: Unreachable, To: defaultOf(false), Table: d.Table, Metric: last, Auto: true})
			if plan.HasIPv6() {
				plan.Routes = append(plan.Routes, RoutePlan{Type: Unreachable, To: defaultOf(true), Table: d.Table, Metric: last, Auto: true})
			}
		}
	}
}

// find puts the routes that a routing domain needs in one family into w.routes: one to every
// target that it reaches over a gateway and has no route to, or a default route
// where a host has but one gateway.
func (p *planner) find(w *walk, domain int, v6 bool, declared map[netip.Prefix]bool) {
	w.routes = w.routes[:0]
	node := p.plan.index.domains[domain].node
	all := defaultOf(v6)
	host := !p.network.nodes[node].router && !declared[all]
	further := p.furtherSubnets(domain, v6)
	if port, gateway, ok := w.graph.onlyGateway(node, domain); ok && host && len(further) == 0 && !w.graph.overlap {
		w.routes = append(w.routes, p.automaticRoute(domain, port, all, gateway.addr))
		return
	}
	w.from(node, domain)
	ambiguous := p.leaveOut(w, node, further, declared)
	var first *way
	one := true
	for i := range w.ways {
		way := &w.ways[i]
		if way.own() || way.left {
			continue
		}
		if first == nil {
			first = way
		}
		one = one && way.router && way.gateway == first.gateway && way.port == first.port
		if to := w.graph.targets[way.target].prefix; !declared[to] {
			w.routes = append(w.routes, p.automaticRoute(domain, way.port, to, way.gateway))
		}
	}
	if first != nil && one && host && !ambiguous {
		w.routes = append(w.routes[:0], p.automaticRoute(domain, first.port, all, first.gateway))
	}
}

func (p *planner) automaticRoute(domain, port int, to netip.Prefix, via netip.Addr) RoutePlan {
	d := p.plan.index.domains[domain]
	return RoutePlan{To: to, Via: via, Dev: p.plan.Nodes[d.node].Devices[port].Name, Table: d.table, Auto: true}
}

// furtherSubnets are the addresses given with Also that put the routing domain on a subnet
// which no segment declares.
func (p *planner) furtherSubnets(domain int, v6 bool) []netip.Prefix {
	var further []netip.Prefix
	node := p.plan.index.domains[domain].node
	declared, plan := p.network.nodes[node], &p.plan.Nodes[node]
	for j := range plan.Devices {
		if len(declared.devices) == 0 && len(declared.ports[j].also) == 0 {
			continue
		}
		device := &plan.Devices[j]
		if p.plan.index.domainOf(node, device) != domain {
			continue
		}
		var prefixes []netip.Prefix
		if segment, on := p.plan.index.segments[device.Segment]; on {
			prefixes = p.plan.Segments[segment].Prefixes
		}
		for _, addr := range device.Addrs {
			if addr.Addr().Is6() == v6 && !addr.IsSingleIP() && !slices.Contains(prefixes, addr.Masked()) {
				further = append(further, addr)
			}
		}
	}
	return further
}

// leaveOut marks the ways that the node could take for one another: those to
// targets that overlap. Notes say so. The answer is whether any is without a route
// then; one that the declaration routes is not.
func (p *planner) leaveOut(w *walk, node int, further []netip.Prefix, declared map[netip.Prefix]bool) bool {
	ambiguous := false
	w.overlaps(func(group []*way) {
		var far, own, subnets places
		for _, way := range group {
			way.left = true
			t := w.graph.targets[way.target]
			if way.own() {
				own.add(t)
				if t.segment >= 0 {
					subnets.add(t)
				}
			} else if !declared[t.prefix] {
				far.add(t)
			}
		}
		ambiguous = ambiguous || far.count > 0
		p.noteOverlap(node, far, own, subnets)
	})
	for _, addr := range further {
		var far places
		for i := range w.ways {
			way, t := &w.ways[i], w.graph.targets[w.ways[i].target]
			if !way.own() && !way.left && !declared[t.prefix] && t.prefix.Overlaps(addr.Masked()) {
				way.left = true
				far.add(t)
			}
		}
		if far.count > 0 {
			ambiguous = true
			p.noteLeft(node, far, "its own address "+addr.String()+" overlaps")
		}
	}
	return ambiguous
}
