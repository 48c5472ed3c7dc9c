package topo_test

import (
	"net/netip"

	"github.com/nstest/nstest/topo"
)

func defaultOf(v6 bool) netip.Prefix {
	if v6 {
		return netip.MustParsePrefix("::/0")
	}
	return netip.MustParsePrefix("0.0.0.0/0")
}

// route is the node's route of just that destination.
func (o *oracle) route(n *topo.NodePlan, to netip.Prefix) (topo.RoutePlan, bool) {
	for _, route := range n.Routes {
		if route.To == to {
			return route, true
		}
	}
	return topo.RoutePlan{}, false
}

// ownerOf is who has a route's gateway, on the segment that the route leads to.
func (o *oracle) ownerOf(n *topo.NodePlan, route topo.RoutePlan) string {
	for _, port := range n.Ports {
		if port.Name != route.Dev {
			continue
		}
		segment, _ := o.plan.Segment(port.Segment)
		for _, ref := range segment.Ports {
			node, _ := o.plan.Node(ref.Node)
			for _, other := range node.Ports {
				for _, prefix := range other.Addrs {
					if other.Name == ref.Port && prefix.Addr() == route.Via {
						return ref.Node
					}
				}
			}
		}
	}
	return ""
}

// follow sends a packet to a goal as kernels would, each by its longest prefix,
// and counts the hops: it must arrive, by a shortest way.
func (o *oracle) follow(i, k int) {
	g := o.goals[k]
	to := g.prefix.Addr()
	if !g.prefix.IsSingleIP() {
		to = to.Next()
	}
	n := &o.plan.Nodes[i]
	for hops := range len(o.plan.Nodes) + 1 {
		if _, ok := o.at(n, g); ok {
			o.count(n, i, k, hops)
			return
		}
		route, ok := o.longest(n, to)
		if !ok {
			o.t.Errorf("from node %s: at node %s there is no route to %s", o.plan.Nodes[i].Name, n.Name, g)
			return
		}
		next, ok := o.plan.Node(o.ownerOf(n, route))
		if !ok {
			o.t.Errorf("from node %s: at node %s nobody has gateway %s", o.plan.Nodes[i].Name, n.Name, route.Via)
			return
		}
		n = next
	}
	o.t.Errorf("from node %s: packets to %s go round in circles", o.plan.Nodes[i].Name, g)
}

func (o *oracle) count(n *topo.NodePlan, i, k, hops int) {
	if want := o.hops[i][k]; hops != want {
		o.t.Errorf("from node %s to %s: %d hops to node %s, not %d", o.plan.Nodes[i].Name, o.goals[k], hops, n.Name, want)
	}
	switch _, specific := o.route(&o.plan.Nodes[i], o.goals[k].prefix); {
	case !specific:
		o.found["default"]++
	default:
		o.found["specific"]++
	}
	if hops > 1 {
		o.found["two hops"]++
	}
	if o.goals[k].node != "" {
		o.found["loopback"]++
	}
}

// longest is the route that a kernel takes. What the node is on itself is no
// route of the plan; a packet for it would go astray, and none is found.
func (o *oracle) longest(n *topo.NodePlan, to netip.Addr) (best topo.RoutePlan, ok bool) {
	length := -1
	for _, port := range n.Ports {
		for _, prefix := range port.Addrs {
			if prefix.Masked().Contains(to) {
				length = max(length, prefix.Bits())
			}
		}
	}
	for _, route := range n.Routes {
		if route.Table == 0 && route.To.Contains(to) && route.To.Bits() > length {
			best, length, ok = route, route.To.Bits(), true
		}
	}
	return best, ok
}
