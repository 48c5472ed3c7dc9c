package topo

import (
	"net/netip"
	"slices"
)

// findRivals notes for every target those that overlap it. Sorted by address,
// a prefix comes before all that lie within it, so a stack of those that are
// open finds every pair.
func (t *targets) findRivals() {
	order := make([]int, len(t.all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		pa, pb := t.all[a].prefix, t.all[b].prefix
		if c := pa.Addr().Compare(pb.Addr()); c != 0 {
			return c
		}
		return pa.Bits() - pb.Bits()
	})
	var open []int
	for _, i := range order {
		for len(open) > 0 && !t.all[open[len(open)-1]].prefix.Overlaps(t.all[i].prefix) {
			open = open[:len(open)-1]
		}
		for _, j := range open {
			t.all[i].rivals = append(t.all[i].rivals, j)
			t.all[j].rivals = append(t.all[j].rivals, i)
		}
		open = append(open, i)
	}
}

// found is a target that a node reaches: how, and whether it is the node's own.
type found struct {
	target int
	via    netip.Addr
	port   int
	own    bool
}

// automaticRoutes gives a node its routes of one family.
func (p *planner) automaticRoutes(node int, v6 bool, t *targets) {
	reached := p.reach(node, v6, t)
	at := make(map[int]bool, len(reached))
	for _, f := range reached {
		at[f.target] = true
	}
	var routes []RoutePlan
	oneGateway, ambiguous := true, false
	plan := &p.plan.Nodes[node]
	for _, f := range reached {
		if f.own {
			continue
		}
		goal := t.all[f.target]
		rival := slices.IndexFunc(goal.rivals, func(r int) bool { return at[r] })
		if rival >= 0 {
			p.note(node, goal, t.all[goal.rivals[rival]])
			ambiguous = true
			continue
		}
		routes = append(routes, RoutePlan{To: goal.prefix, Via: f.via, Dev: plan.Ports[f.port].Name, Auto: true})
		oneGateway = oneGateway && routes[0].Via == f.via && routes[0].Dev == plan.Ports[f.port].Name
	}
	if len(routes) == 0 {
		return
	}
	if oneGateway && !ambiguous && !p.network.nodes[node].router && !declaresDefault(plan, v6) {
		all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if v6 {
			all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		routes = []RoutePlan{{To: all, Via: routes[0].Via, Dev: routes[0].Dev, Auto: true}}
	}
	declared := map[netip.Prefix]bool{}
	for _, route := range plan.Routes {
		if route.Table == 0 && !route.Auto {
			declared[route.To] = true
		}
	}
	for _, route := range routes {
		if !declared[route.To] {
			plan.Routes = append(plan.Routes, route)
		}
	}
}

func declaresDefault(plan *NodePlan, v6 bool) bool {
	return slices.ContainsFunc(plan.Routes, func(r RoutePlan) bool {
		return r.Table == 0 && r.To.Bits() == 0 && r.To.Addr().Is6() == v6
	})
}

// reach finds the targets that a node reaches, nearest first.
func (p *planner) reach(node int, v6 bool, t *targets) []found {
	var reached []found
	loopbacks := map[int]bool{node: true}
	for _, own := range t.ofNode[node] {
		reached = append(reached, found{target: own, own: true})
	}
	p.plan.ways(node, v6, func(segment int, w way) {
		var via netip.Addr
		if w.hops > 0 {
			via, _ = p.plan.onLink(w.first, v6)
		}
		for _, i := range t.ofSegment[segment] {
			if t.all[i].prefix.Addr().Is6() == v6 {
				reached = append(reached, found{i, via, w.port, w.hops == 0})
			}
		}
		if len(t.all) == 0 {
			return
		}
		for _, neighbour := range p.plan.index.on[segment] {
			if loopbacks[neighbour.node] || len(t.ofNode[neighbour.node]) == 0 {
				continue
			}
			next := via
			if w.hops == 0 {
				var ok bool
				if next, ok = p.plan.onLink(neighbour, v6); !ok {
					continue
				}
			}
			loopbacks[neighbour.node] = true
			for _, i := range t.ofNode[neighbour.node] {
				if t.all[i].prefix.Addr().Is6() == v6 {
					reached = append(reached, found{i, next, w.port, false})
				}
			}
		}
	})
	return reached
}
