package topo

import (
	"fmt"
	"net/netip"
)

// planRoutes adds the declared routes, then those that the plan finds.
func (p *planner) planRoutes() {
	targets := p.findTargets()
	for i, node := range p.network.nodes {
		plan := &p.plan.Nodes[i]
		for _, route := range node.routes {
			if made, ok := p.declaredRoute(node, plan, route); ok {
				plan.Routes = append(plan.Routes, made)
			}
		}
		if node.noRoutes {
			continue
		}
		for _, v6 := range []bool{false, true} {
			p.automaticRoutes(i, v6, targets)
		}
	}
}

// declaredRoute checks a route that the declaration gives.
func (p *planner) declaredRoute(node *Node, plan *NodePlan, route Route) (RoutePlan, bool) {
	where := "node " + node.name + ": route to " + route.To
	if route.To == "" {
		where += "default"
	}
	before := len(p.mistakes)
	made := RoutePlan{Type: route.Type, Table: route.Table, Metric: route.Metric}
	if route.Via != "" {
		via, err := netip.ParseAddr(route.Via)
		if err != nil || via.Is4In6() || via.Zone() != "" {
			p.wrong("%s: gateway %q: write it like 10.0.1.1 or fd00:1::1", where, route.Via)
			return made, false
		}
		made.Via = via
	}
	made.To = p.destination(where, route, made.Via)
	if route.Dev != nil {
		made.Dev = p.deviceOf(where, node, plan, route.Dev)
	}
	if len(p.mistakes) > before {
		return made, false
	}
	switch {
	case route.Table < 0 || route.Table > 1<<32-1 || route.Metric < 0 || route.Metric > 1<<32-1:
		p.wrong("%s: table %d, metric %d: both are between 0 and 4294967295", where, route.Table, route.Metric)
	case made.Via.IsValid() && made.Via.Is4() != made.To.Addr().Is4():
		p.wrong("%s: gateway %s is of another family: choose one of the route's", where, made.Via)
	case route.Type != Unicast && (made.Via.IsValid() || made.Dev != ""):
		p.wrong("%s: a %s route leads nowhere: leave out gateway and device", where, route.Type)
	case route.Type == Unicast && !made.Via.IsValid() && made.Dev == "":
		p.wrong("%s: neither gateway nor device: give one", where)
	case made.Via.IsValid() && !made.Via.IsLinkLocalUnicast():
		p.resolveGateway(where, plan, &made)
	}
	return made, len(p.mistakes) == before
}

// destination is the route's prefix.
func (p *planner) destination(where string, route Route, via netip.Addr) netip.Prefix {
	if route.To == "" || route.To == "default" {
		if via.Is6() {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	prefix, err := netip.ParsePrefix(route.To)
	if err != nil || prefix.Addr().Is4In6() {
		p.wrong("%s: write it like 10.1.0.0/16, fd01::/64 or default", where)
		return netip.Prefix{}
	}
	return prefix.Masked()
}

func (p *planner) deviceOf(where string, node *Node, plan *NodePlan, dev *Segment) string {
	for i, port := range node.ports {
		if port.segment == dev {
			return plan.Ports[i].Name
		}
	}
	p.wrong("%s: the node is not on segment %s: attach it, or choose another device", where, dev.name)
	return ""
}

// resolveGateway finds the port whose prefixes hold the gateway.
func (p *planner) resolveGateway(where string, plan *NodePlan, route *RoutePlan) {
	for _, port := range plan.Ports {
		if route.Dev != "" && route.Dev != port.Name {
			continue
		}
		for _, addr := range port.Addrs {
			if addr.Masked().Contains(route.Via) {
				route.Dev = port.Name
				return
			}
		}
	}
	p.wrong("%s: gateway %s is on none of the node's segments: choose one that is", where, route.Via)
}

// target is a prefix that others need a route to: a segment's, or a loopback's
// address, which is at a node.
type target struct {
	prefix  netip.Prefix
	segment int // -1 for a loopback's
	node    int // -1 for a segment's
	rivals  []int
}

// targets are all of them, and where they are.
type targets struct {
	all       []target
	ofSegment [][]int
	ofNode    [][]int
}

func (p *planner) findTargets() *targets {
	t := &targets{ofSegment: make([][]int, len(p.plan.Segments)), ofNode: make([][]int, len(p.plan.Nodes))}
	for i := range p.plan.Segments {
		for _, prefix := range p.plan.Segments[i].Prefixes {
			t.ofSegment[i] = append(t.ofSegment[i], len(t.all))
			t.all = append(t.all, target{prefix: prefix, segment: i, node: -1})
		}
	}
	for i := range p.plan.Nodes {
		for _, prefix := range p.plan.Nodes[i].Loopback {
			t.ofNode[i] = append(t.ofNode[i], len(t.all))
			t.all = append(t.all, target{prefix: prefix.Masked(), segment: -1, node: i})
		}
	}
	t.findRivals()
	return t
}

// place is where a target is, for a note.
func (p *planner) placeOf(t target) string {
	if t.segment >= 0 {
		return "segment " + p.plan.Segments[t.segment].Name
	}
	return "node " + p.plan.Nodes[t.node].Name
}

func (p *planner) note(node int, t target, rival target) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf("node %s: no route to %s of %s: %s of %s overlaps it",
		p.plan.Nodes[node].Name, t.prefix, p.placeOf(t), rival.prefix, p.placeOf(rival)))
}
