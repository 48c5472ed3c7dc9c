package topo

import (
	"net/netip"
)

// planAddresses gives the chosen addresses first, then the others in order of
// declaration.
func (p *planner) planAddresses() {
	for i, node := range p.network.nodes {
		for j := range node.ports {
			p.chosen(i, j)
		}
	}
	next := make([][]netip.Addr, len(p.plan.Segments))
	for i := range next {
		next[i] = make([]netip.Addr, len(p.plan.Segments[i].Prefixes))
	}
	full := map[netip.Prefix]bool{}
	for i, node := range p.network.nodes {
		for j := range node.ports {
			p.automatic(i, j, next, full)
		}
	}
}

// chosen puts a port's chosen addresses in the place of its segment's prefixes.
func (p *planner) chosen(node, port int) {
	declared := &p.network.nodes[node].ports[port]
	plan := &p.plan.Nodes[node].Ports[port]
	at := p.segments[declared.segment]
	where := "node " + p.plan.Nodes[node].Name + ": segment " + plan.Segment
	for _, text := range declared.addrs {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			p.wrong("%s: address %q: write it like 10.0.1.9 or fd00:1::9", where, text)
			continue
		}
		prefix, ok := p.prefixOf(where, at, addr)
		if ok && p.take(where, at, node, addr, declared.duplicate) {
			plan.Addrs = append(plan.Addrs, netip.PrefixFrom(addr, prefix.Bits()))
		}
	}
	for _, text := range declared.also {
		if prefix, ok := p.parseAddress(where, text); ok && p.take(where, at, node, prefix.Addr(), declared.duplicate) {
			plan.Addrs = append(plan.Addrs, prefix)
		}
	}
}

// prefixOf is the segment's prefix that a chosen address is in.
func (p *planner) prefixOf(where string, at int, addr netip.Addr) (netip.Prefix, bool) {
	family := false
	for _, prefix := range p.plan.Segments[at].Prefixes {
		family = family || prefix.Addr().Is4() == addr.Is4()
		if !prefix.Contains(addr) {
			continue
		}
		if !usable(prefix, addr) {
			p.wrong("%s: address %s is the first or last of %s, which no port can have: choose another", where, addr, prefix)
			return prefix, false
		}
		return prefix, true
	}
	if !family {
		p.wrong("%s: address %s: the segment has no %s prefix: declare one", where, addr, familyName(addr))
		return netip.Prefix{}, false
	}
	p.wrong("%s: address %s is in none of the segment's prefixes: choose one that is, or use Also", where, addr)
	return netip.Prefix{}, false
}

func familyName(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// take notes who has an address. Twice on a segment is a mistake unless one of
// the two says that it is meant.
func (p *planner) take(where string, at, node int, addr netip.Addr, meant bool) bool {
	owner, taken := p.used[at][addr]
	if taken && !meant && !p.shared[use{at, addr}] {
		p.wrong("%s: address %s is node %s's already: choose another, or say that it is meant with Duplicate", where, addr, p.plan.Nodes[owner].Name)
		return false
	}
	p.used[at][addr] = node
	if meant {
		p.shared[use{at, addr}] = true
	}
	return true
}

// automatic gives a port an address of each prefix for which none was chosen,
// before the further ones.
func (p *planner) automatic(node, port int, next [][]netip.Addr, full map[netip.Prefix]bool) {
	declared := &p.network.nodes[node].ports[port]
	if declared.bare {
		return
	}
	plan := &p.plan.Nodes[node].Ports[port]
	at := p.segments[declared.segment]
	chosen := plan.Addrs[:max(0, len(plan.Addrs)-len(declared.also))] // fewer after a mistake
	var primary []netip.Prefix
	for k, prefix := range p.plan.Segments[at].Prefixes {
		if had := within(chosen, prefix); len(had) > 0 {
			primary = append(primary, had...)
			continue
		}
		addr, ok := p.free(at, prefix, &next[at][k])
		if !ok {
			if !full[prefix] {
				p.wrong("segment %s: prefix %s is full at node %s: widen it", plan.Segment, prefix, p.plan.Nodes[node].Name)
			}
			full[prefix] = true
			continue
		}
		p.used[at][addr] = node
		primary = append(primary, netip.PrefixFrom(addr, prefix.Bits()))
	}
	plan.Addrs = append(primary, plan.Addrs[len(chosen):]...)
}

// within are the addresses that lie in a prefix of the segment.
func within(addrs []netip.Prefix, prefix netip.Prefix) []netip.Prefix {
	var in []netip.Prefix
	for _, addr := range addrs {
		if prefix.Contains(addr.Addr()) {
			in = append(in, addr)
		}
	}
	return in
}

// free is the next unused address of a prefix; cursor is where to go on.
func (p *planner) free(at int, prefix netip.Prefix, cursor *netip.Addr) (netip.Addr, bool) {
	addr := *cursor
	if !addr.IsValid() {
		addr = prefix.Addr()
	}
	for ; addr.IsValid() && prefix.Contains(addr); addr = addr.Next() {
		if _, taken := p.used[at][addr]; !taken && usable(prefix, addr) {
			*cursor = addr.Next()
			return addr, true
		}
	}
	*cursor = addr
	return netip.Addr{}, false
}

// usable leaves out the network and broadcast address of IPv4 (but RFC 3021),
// and the routers' anycast address of IPv6 (RFC 4291; but RFC 6164).
func usable(prefix netip.Prefix, addr netip.Addr) bool {
	if prefix.Bits() >= addr.BitLen()-1 {
		return true
	}
	if addr == prefix.Addr() {
		return false
	}
	return addr.Is6() || prefix.Contains(addr.Next())
}
