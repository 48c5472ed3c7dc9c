package topo

import "net/netip"

// maxPorts is BR_MAX_PORTS (net/bridge/br_private.h).
const maxPorts = 1023

func (p *planner) planSegments() {
	names := newNamer()
	for _, name := range p.network.fabric {
		names.taken[name] = true
	}
	p.partial, p.doubt = make([]bool, len(p.network.segments)), make([]bool, len(p.network.segments))
	for i, segment := range p.network.segments {
		plan := SegmentPlan{Name: segment.name, Kind: segment.kind, MTU: segment.mtu}
		for _, text := range segment.texts {
			if prefix, ok := p.parsePrefix(segment, text, plan.Prefixes); ok {
				plan.Prefixes = append(plan.Prefixes, prefix)
			} else {
				p.partial[i] = true
			}
		}
		if segment.kind.IsSwitch() {
			plan.Bridge = names.keep(segment.held, segment.name)
		}
		plan.Flows = p.planFlows(segment)
		p.plan.Segments = append(p.plan.Segments, plan)
		p.checkOverlay(i)
	}
}

func (p *planner) parsePrefix(segment *Segment, text string, others []netip.Prefix) (netip.Prefix, bool) {
	where := "segment " + shown(segment.name)
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		p.wrong("%s: prefix %q: write it like 10.0.1.0/24 or fd00:1::/64", where, text)
		return prefix, false
	case prefix.Addr().Is4In6():
		p.wrong("%s: prefix %s: write an IPv4 prefix as such", where, text)
		return prefix, false
	case prefix != prefix.Masked():
		p.wrong("%s: prefix %s has bits after its length: write %s, and choose a port's address with At", where, prefix, prefix.Masked())
		prefix = prefix.Masked() // what is meant is known
	}
	for _, r := range reserved {
		if prefix.Overlaps(r.prefix) {
			p.wrong("%s: prefix %s has addresses %s: choose another", where, prefix, r.what)
			return prefix, false
		}
	}
	for _, other := range others {
		if prefix.Overlaps(other) {
			p.wrong("%s: prefix %s overlaps %s of the same segment: take one out", where, prefix, other)
			return prefix, false
		}
	}
	return prefix, true
}

// reserved are the addresses that no port can be given (RFC 6890, RFC 4291).
var reserved = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "of no network"},
	{netip.MustParsePrefix("127.0.0.0/8"), "of the loopback"},
	{netip.MustParsePrefix("224.0.0.0/4"), "of multicast groups"},
	{netip.MustParsePrefix("::/127"), "of the loopback"},
	{netip.MustParsePrefix("fe80::/10"), "that every port makes up for itself"},
	{netip.MustParsePrefix("ff00::/8"), "of multicast groups"},
}

// checkPorts counts ports.
func (p *planner) checkPorts() {
	for i := range p.plan.Segments {
		segment := &p.plan.Segments[i]
		where, n := "segment "+shown(segment.Name), len(segment.Ports)
		switch {
		case segment.Kind == KindWire && n != 2:
			p.wrong("%s: a wire has two ports, this one has %d%s: attach two nodes, or declare a switch", where, n, nodesOf(segment))
		case segment.Kind == KindWire && p.ends[i][0].node == p.ends[i][1].node:
			p.wrong("%s: both ends of the wire are node %s's: attach another node, or declare a switch", where, shown(segment.Ports[0].Node))
		case n > maxPorts:
			p.wrong("%s: a bridge has %d ports at most, this one has %d: spread them over several switches", where, maxPorts, n)
		}
	}
}

// nodesOf lists a segment's nodes, in brackets.
func nodesOf(segment *SegmentPlan) string {
	if len(segment.Ports) == 0 {
		return ""
	}
	var names []string
	for _, ref := range segment.Ports[:min(len(segment.Ports), maxListed)] {
		names = append(names, shown(ref.Node))
	}
	return " (" + andMore(names, len(segment.Ports)) + ")"
}
