package topo

import (
	"net/netip"
	"strconv"
)

// mainTable is RT_TABLE_MAIN (linux/rtnetlink.h).
const mainTable = 254

// declaredRoutes checks the routes that the declaration gives.
func (p *planner) declaredRoutes() {
	for i, node := range p.network.nodes {
		if len(node.routes) == 0 {
			continue
		}
		g := p.gateways(i)
		seen := map[RoutePlan]bool{}
		for _, route := range node.routes {
			before := len(p.mistakes)
			made := p.declaredRoute(g, route)
			switch {
			case len(p.mistakes) > before:
				// A gateway may be where this one was to lead.
				g.sure = g.sure && route.Via != ""
			case seen[made]:
				p.wrong("node %s: route to %s: declared twice: take one out", p.nodeName(i), destinationName(route.To))
			default:
				seen[made] = true
				p.plan.Nodes[i].Routes = append(p.plan.Nodes[i].Routes, made)
			}
		}
	}
}

// declaredRoute checks the parts of a route, and if they are right, whether they
// fit together.
func (p *planner) declaredRoute(g *gateways, route Route) RoutePlan {
	where := "node " + p.nodeName(g.node) + ": route to " + destinationName(route.To)
	made := RoutePlan{Type: route.Type, Table: route.Table, Metric: route.Metric}
	if made.Table == mainTable {
		made.Table = 0
	}
	before := len(p.mistakes)
	made.Via = p.parseGateway(where, route.Via)
	made.To = p.parseDestination(where, route.To, made.Via)
	made.Dev = p.device(where, g.node, route.Dev)
	if route.Type < Unicast || route.Type > Prohibit {
		p.wrong("%s: type %d: it is Unicast, Blackhole, Unreachable or Prohibit", where, route.Type)
	}
	if !isUint32(route.Table) || !isUint32(route.Metric) {
		p.wrong("%s: table %d, metric %d: both are between 0 and 4294967295", where, route.Table, route.Metric)
	}
	if len(p.mistakes) > before {
		return made
	}
	switch {
	case made.Table == 0 && made.Metric == 0 && g.connected(made.To):
		p.wrong("%s: the kernel has one, for the node is on that subnet: give this one a metric or a table", where)
	case route.Type != Unicast && (made.Via.IsValid() || made.Dev != ""):
		p.wrong("%s: a %s route leads nowhere: leave out gateway and device", where, route.Type)
	case route.Type != Unicast:
	case !made.Via.IsValid() && route.Dev == nil:
		p.wrong("%s: neither gateway nor device: give one", where)
	case !made.Via.IsValid():
	case made.Via.Is4() != made.To.Addr().Is4():
		p.wrong("%s: gateway %s is of another family: choose one of the route's", where, made.Via)
	default:
		p.resolve(where, g, &made, route.Dev)
	}
	return made
}

func isUint32(n int) bool { return n >= 0 && int64(n) <= 1<<32-1 }

// destinationName is a route's destination as messages print it.
func destinationName(to string) string {
	if to == "" || to == "default" {
		return "default"
	}
	if _, err := netip.ParsePrefix(to); err != nil {
		return strconv.Quote(to)
	}
	return to
}

// parseDestination reads a route's prefix.
func (p *planner) parseDestination(where, to string, via netip.Addr) netip.Prefix {
	if to == "" || to == "default" {
		return defaultOf(via.Is6())
	}
	prefix, err := netip.ParsePrefix(to)
	switch {
	case err != nil || prefix.Addr().Is4In6():
		p.wrong("%s: write it like 10.1.0.0/16, fd01::/64 or default", where)
	case prefix != prefix.Masked():
		p.wrong("%s: it has bits after its length: write %s, or %s for the address alone",
			where, prefix.Masked(), netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()))
	}
	return prefix
}

func defaultOf(v6 bool) netip.Prefix {
	if v6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// device is the interface of the node's port on a segment.
func (p *planner) device(where string, node int, dev *Segment) string {
	if dev == nil {
		return ""
	}
	for j := range p.network.nodes[node].ports {
		if p.network.nodes[node].ports[j].segment == dev {
			return p.plan.Nodes[node].Ports[j].Name
		}
	}
	p.wrong("%s: the node is not on segment %s: attach it, or choose another device", where, shown(dev.name))
	return ""
}
