package topo

import (
	"net/netip"
	"slices"
)

// planAddresses gives the chosen addresses first, then the others in order of
// declaration.
func (p *planner) planAddresses() {
	p.used = make([]map[netip.Addr]claim, len(p.plan.Segments))
	pools := make([][]pool, len(p.plan.Segments))
	for i := range p.plan.Segments {
		if first := p.leader(i); first != i {
			p.used[i], pools[i] = p.used[first], pools[first]
			continue
		}
		p.used[i] = make(map[netip.Addr]claim, len(p.ends[i])*len(p.plan.Segments[i].Prefixes))
		for _, prefix := range p.plan.Segments[i].Prefixes {
			pools[i] = append(pools[i], pool{prefix: prefix, next: prefix.Addr()})
		}
	}
	chosen := make([][][]netip.Prefix, len(p.network.nodes))
	for i, node := range p.network.nodes {
		p.loopback(i)
		chosen[i] = make([][]netip.Prefix, len(node.ports))
		for j := range node.ports {
			if segment, ok := p.segmentOf(end{i, j}); ok {
				chosen[i][j] = p.chosen(end{i, j}, segment)
			}
		}
	}
	p.holdAddresses(chosen)
	for i, node := range p.network.nodes {
		for j := range node.ports {
			if segment, ok := p.segmentOf(end{i, j}); ok {
				p.automatic(end{i, j}, segment, chosen[i][j], pools[segment])
			}
		}
	}
}

// holdAddresses leaves ports of a copy those that they had without having chosen any.
func (p *planner) holdAddresses(chosen [][][]netip.Prefix) {
	for i, node := range p.network.nodes {
		for j := range node.ports {
			at := end{i, j}
			segment, known := p.segmentOf(at)
			if !known || node.ports[j].held == nil || p.bare(at) {
				continue
			}
			for _, prefix := range p.plan.Segments[segment].Prefixes {
				in := func(addr netip.Prefix) bool { return prefix.Contains(addr.Addr()) }
				had, was := heldIn(&node.ports[j], prefix)
				if !was || slices.ContainsFunc(chosen[i][j], in) {
					continue
				}
				if first, taken := p.used[segment][had]; taken && !first.meant && !node.ports[j].duplicate {
					p.wrong("%s: address %s is node %s's already: choose another, or say that it is meant with Duplicate", p.place(first.end), had, p.nodeName(i))
				} else if !taken {
					p.used[segment][had] = claim{at, node.ports[j].duplicate}
				}
			}
		}
	}
}

// heldIn is the address of a prefix that a port of a copy had.
func heldIn(port *Port, prefix netip.Prefix) (netip.Addr, bool) {
	if port.held == nil {
		return netip.Addr{}, false
	}
	for _, addr := range port.held.addrs {
		if prefix.Contains(addr.Addr()) && addr.Bits() == prefix.Bits() {
			return addr.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// loopback reads the addresses of a node's loopback.
func (p *planner) loopback(node int) {
	where, plan := "node "+p.nodeName(node)+": loopback", &p.plan.Nodes[node]
	seen := map[netip.Addr]bool{}
	for _, text := range p.network.nodes[node].loopback {
		prefix, ok := p.parseAddress(where, text)
		switch {
		case !ok:
		case seen[prefix.Addr()]:
			p.wrong("%s: address %s is there twice: take one out", where, prefix.Addr())
		case prefix.Addr().Is6() && prefix.Addr().IsLinkLocalUnicast():
			p.wrong("%s: address %s is of one link, and there is none: choose another", where, prefix.Addr())
		default:
			seen[prefix.Addr()] = true
			plan.Loopback = append(plan.Loopback, prefix)
		}
	}
}

// chosen are a port's addresses that lie in its segment's prefixes; the further
// ones go to its plan at once.
func (p *planner) chosen(at end, segment int) (addrs []netip.Prefix) {
	declared := &p.network.nodes[at.node].ports[at.port]
	if len(declared.addrs)+len(declared.also) == 0 {
		return nil
	}
	plan, where := &p.plan.Nodes[at.node].Ports[at.port], p.place(at)
	for _, text := range declared.addrs {
		prefix, ok := p.parseChosen(where, text, segment)
		if ok {
			p.take(where, at, segment, prefix.Addr(), addrs)
			addrs = append(addrs, prefix)
			continue
		}
		p.doubt[segment] = true
		p.unknown[at] = p.unknown[at] || declared.bare
	}
	for _, text := range declared.also {
		prefix, ok := p.parseAddress(where, text)
		if ok {
			p.take(where, at, segment, prefix.Addr(), addrs, plan.Addrs)
			plan.Addrs = append(plan.Addrs, prefix)
			continue
		}
		p.doubt[segment], p.unknown[at] = true, true
	}
	return addrs
}

// parseChosen reads a chosen address and finds the segment's prefix that it is in.
func (p *planner) parseChosen(where, text string, segment int) (netip.Prefix, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		p.wrong("%s: address %q: write it like 10.0.1.9 or fd00:1::9", where, text)
		return netip.Prefix{}, false
	}
	family := false
	for _, prefix := range p.plan.Segments[segment].Prefixes {
		family = family || prefix.Addr().Is4() == addr.Is4()
		if prefix.Contains(addr) {
			return netip.PrefixFrom(addr, prefix.Bits()), p.checkUsable(where, addr, prefix)
		}
	}
	switch {
	case p.partial[segment]: // it may be in the prefix that was a mistake
	case family:
		p.wrong("%s: address %s is in none of the segment's prefixes: choose one that is, or use Also", where, addr)
	case addr.Is4():
		p.wrong("%s: address %s: the segment has no IPv4 prefix: declare one", where, addr)
	default:
		p.wrong("%s: address %s: the segment has no IPv6 prefix: declare one", where, addr)
	}
	return netip.Prefix{}, false
}

// parseAddress reads an address with its prefix length.
func (p *planner) parseAddress(where, text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		p.wrong("%s: address %q: write it with its prefix length, like 192.0.2.1/32", where, text)
		return prefix, false
	}
	for _, r := range reserved {
		if r.prefix.Contains(prefix.Addr()) && !prefix.Addr().IsLinkLocalUnicast() {
			p.wrong("%s: address %s is one %s: choose another", where, prefix.Addr(), r.what)
			return prefix, false
		}
	}
	return prefix, p.checkUsable(where, prefix.Addr(), prefix.Masked())
}

func (p *planner) checkUsable(where string, addr netip.Addr, prefix netip.Prefix) bool {
	switch {
	case usable(prefix, addr):
		return true
	case addr.Is4():
		p.wrong("%s: address %s is the network or broadcast address of %s: choose another", where, addr, prefix)
	default:
		p.wrong("%s: address %s is the routers' anycast address of %s: choose another", where, addr, prefix)
	}
	return false
}

// usable leaves out the network and broadcast address of IPv4 (but RFC 3021),
// and the routers' anycast address of IPv6 (RFC 4291; but RFC 6164).
func usable(prefix netip.Prefix, addr netip.Addr) bool {
	next := addr.Next()
	switch {
	case !next.IsValid(): // 255.255.255.255
		return false
	case prefix.Bits() >= addr.BitLen()-1:
		return true
	case addr == prefix.Addr():
		return false
	}
	return addr.Is6() || prefix.Contains(next)
}

// take notes who has an address. Twice on a port, which has those so far, is
// what the kernel refuses; twice on a segment is a mistake, unless one of the two
// says that it is meant.
func (p *planner) take(where string, at end, segment int, addr netip.Addr, port ...[]netip.Prefix) {
	for _, have := range slices.Concat(port...) {
		if have.Addr() == addr {
			p.wrong("%s: address %s is on the port twice: take one out", where, addr)
			return
		}
	}
	meant := p.network.nodes[at.node].ports[at.port].duplicate
	first, taken := p.used[segment][addr]
	if taken && !meant && !first.meant {
		p.wrong("%s: address %s is node %s's already: choose another, or say that it is meant with Duplicate", where, addr, p.nodeName(first.node))
	}
	if !taken {
		first.end = at
	}
	first.meant = first.meant || meant
	p.used[segment][addr] = first
}

// pool is a prefix that ports are given addresses of.
type pool struct {
	prefix netip.Prefix
	next   netip.Addr // where to go on looking
	full   bool       // and it was said
}

// automatic puts the chosen addresses before the further ones, in order of the
// segment's prefixes, and takes one of each prefix for which none was chosen.
func (p *planner) automatic(at end, segment int, chosen []netip.Prefix, pools []pool) {
	plan := &p.plan.Nodes[at.node].Ports[at.port]
	if p.bare(at) {
		plan.Addrs = append(chosen, plan.Addrs...)
		return
	}
	primary := make([]netip.Prefix, 0, max(len(pools), len(chosen))+len(plan.Addrs))
	for k := range pools {
		before := len(primary)
		for _, addr := range chosen {
			if pools[k].prefix.Contains(addr.Addr()) {
				primary = append(primary, addr)
			}
		}
		if len(primary) > before {
			continue
		}
		if had, was := heldIn(&p.network.nodes[at.node].ports[at.port], pools[k].prefix); was {
			primary = append(primary, netip.PrefixFrom(had, pools[k].prefix.Bits()))
			continue
		}
		if addr, ok := pools[k].take(p.used[segment]); ok {
			p.used[segment][addr] = claim{end: at}
			primary = append(primary, netip.PrefixFrom(addr, pools[k].prefix.Bits()))
		} else if !pools[k].full {
			p.wrong("%s: prefix %s is full: widen it", p.place(at), pools[k].prefix)
			pools[k].full = true
		}
	}
	plan.Addrs = append(primary, plan.Addrs...)
}

// take is the next address that is not in use.
func (l *pool) take(used map[netip.Addr]claim) (netip.Addr, bool) {
	for addr := l.next; addr.IsValid() && l.prefix.Contains(addr); addr = addr.Next() {
		if _, taken := used[addr]; !taken && usable(l.prefix, addr) {
			l.next = addr.Next()
			return addr, true
		}
	}
	l.next = netip.Addr{}
	return netip.Addr{}, false
}
