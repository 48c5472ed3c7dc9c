package topo

import (
	"fmt"
	"net/netip"
	"strconv"
)

// declaredRoutes checks the routes that the declaration gives.
func (p *planner) declaredRoutes() {
	for i, node := range p.network.nodes {
		if len(node.routes) == 0 {
			continue
		}
		g := p.gateways(i)
		seen := map[string]bool{}
		for _, route := range node.routes {
			before := len(p.mistakes)
			made := p.declaredRoute(g, route)
			switch key := fmt.Sprint(made); {
			case len(p.mistakes) > before:
				// A gateway may be where this one was to lead.
				g.sure = g.sure && route.Via != ""
			case seen[key]:
				p.wrong("node %s: route to %s: declared twice: take one out", p.nodeName(i), destinationName(route.To))
			default:
				seen[key] = true
				p.plan.Nodes[i].Routes = append(p.plan.Nodes[i].Routes, made)
			}
		}
	}
}

// declaredRoute checks the parts of a route, and if they are right, whether they
// fit together.
func (p *planner) declaredRoute(g *gateways, route Route) RoutePlan {
	where := "node " + p.nodeName(g.node) + ": route to " + destinationName(route.To)
	if segment, is := route.Dev.(*Segment); is && segment == nil {
		route.Dev = nil
	}
	made := RoutePlan{Type: route.Type, Table: route.Table, Metric: route.Metric, MTU: route.MTU, LockMTU: route.LockMTU}
	if made.Table == mainTable {
		made.Table = 0
	}
	before := len(p.mistakes)
	made.Via = p.parseGateway(where, route.Via)
	first := made.Via
	if len(route.Hops) > 0 {
		first = p.parseGateway(where, route.Hops[0].Via)
	}
	made.To = p.parseDestination(where, route.To, first)
	made.Dev = p.device(where, g.node, route.Dev)
	made.Source = p.routeSource(where, g.node, route.Source, made.To)
	p.checkNumbers(where, route)
	if len(p.mistakes) > before {
		return made
	}
	switch {
	case (made.Table == 0 || p.isVRF(g.node, made.Table)) && made.Metric == 0 && g.connected(made.To, made.Table):
		p.wrong("%s: the kernel has one, for the node is on that subnet: give this one a metric or a table", where)
	case route.Type != Unicast && (made.Via.IsValid() || made.Dev != "" || len(route.Hops) > 0):
		p.wrong("%s: a %s route leads nowhere: leave out gateway and device", where, route.Type)
	case route.Type != Unicast:
	case len(route.Hops) > 0:
		p.multipath(where, g, &made, route)
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

// checkNumbers checks those of a route.
func (p *planner) checkNumbers(where string, route Route) {
	if route.Type < Unicast || route.Type > Prohibit {
		p.wrong("%s: type %d: it is Unicast, Blackhole, Unreachable or Prohibit", where, route.Type)
	}
	if !isUint32(route.Table) || !isUint32(route.Metric) {
		p.wrong("%s: table %d, metric %d: both are between 0 and 4294967295", where, route.Table, route.Metric)
	}
	if route.MTU != 0 && (route.MTU < minMTU4 || route.MTU > maxMTU) {
		p.wrong("%s: MTU %d: it must be between %d and %d", where, route.MTU, minMTU4, maxMTU)
	}
	if route.LockMTU && route.MTU == 0 {
		p.wrong("%s: the MTU is locked, and there is none: give it", where)
	}
}

// multipath reads the ways of a route that has several.
func (p *planner) multipath(where string, g *gateways, made *RoutePlan, route Route) {
	switch {
	case made.Via.IsValid() || made.Dev != "":
		p.wrong("%s: it has hops, and a gateway or device besides: leave these out", where)
		return
	case len(route.Hops) < 2:
		p.wrong("%s: a multipath route has two hops or more, this one has 1: use Via", where)
		return
	}
	for i, hop := range route.Hops {
		if hop.Weight < 0 || hop.Weight > 256 {
			p.wrong("%s: weight %d: it is between 1 and 256", where, hop.Weight)
		}
		before := len(p.mistakes)
		one := RoutePlan{Via: p.parseGateway(where, hop.Via), Dev: p.device(where, g.node, hop.Dev), Table: made.Table}
		switch {
		case len(p.mistakes) > before:
		case !one.Via.IsValid():
			p.wrong("%s: hop %d has no gateway: give one", where, i+1)
		case one.Via.Is4() != made.To.Addr().Is4():
			p.wrong("%s: gateway %s is of another family: choose one of the route's", where, one.Via)
		default:
			p.resolve(where, g, &one, hop.Dev)
		}
		made.Hops = append(made.Hops, HopPlan{one.Via, one.Dev, max(hop.Weight, 1)})
	}
}

// routeSource reads the address that packets by a route get: one of the node's.
func (p *planner) routeSource(where string, node int, text string, to netip.Prefix) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	source, err := netip.ParseAddr(text)
	own := false
	p.plan.Nodes[node].eachAddr(func(prefix netip.Prefix) { own = own || prefix.Addr() == source })
	switch {
	case err != nil:
		p.wrong("%s: source %q: write it like 10.0.1.1 or fd00:1::1", where, text)
	case to.IsValid() && source.Is4() != to.Addr().Is4():
		p.wrong("%s: source %s is of another family: choose one of the route's", where, source)
	case !own:
		p.wrong("%s: source %s is no address of the node: choose one of its own", where, source)
	}
	return source
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

// device is the name of a node's interface; of a bridge's port, the bridge's.
func (p *planner) device(where string, node int, dev Interface) string {
	if dev == nil {
		return ""
	}
	j, problem := p.interfaceOf(node, dev)
	switch {
	case problem == anUnknown:
		return ""
	case problem != "":
		p.wrong("%s: %s", where, problem)
		return ""
	}
	return p.plan.Nodes[node].Devices[p.voice(end{node, j}).port].Name
}
