package topo

import (
	"fmt"
	"net/netip"
	"strings"
)

// planner turns a declaration into a plan and gathers what is wrong with it.
type planner struct {
	network  *Network
	plan     *Plan
	segments map[*Segment]int
	used     []map[netip.Addr]int // by segment: an address's node
	shared   map[use]bool         // addresses that are meant to be used twice
	mistakes []error
}

type use struct {
	segment int
	addr    netip.Addr
}

// Plan checks the declaration and plans it. The error is Mistakes, all of them.
func (n *Network) Plan() (*Plan, error) {
	p := &planner{
		network:  n,
		plan:     &Plan{Name: n.name},
		segments: map[*Segment]int{},
		shared:   map[use]bool{},
	}
	p.checkNames()
	p.planSegments()
	p.planNodes()
	p.checkSegments()
	if len(p.mistakes) == 0 {
		p.planAddresses()
	}
	if len(p.mistakes) == 0 {
		p.plan.index = newIndex(p.plan, n)
		p.planRoutes()
	}
	if len(p.mistakes) > 0 {
		return nil, &Mistakes{Network: n.name, List: p.mistakes}
	}
	return p.plan, nil
}

func (p *planner) wrong(format string, args ...any) {
	p.mistakes = append(p.mistakes, mistake(fmt.Sprintf(format, args...)))
}

// maxName is the length of a host name's label (RFC 1123).
const maxName = 63

func (p *planner) checkNames() {
	p.checkName("network", p.network.name)
	seen := map[string]bool{}
	for i, segment := range p.network.segments {
		p.segments[segment] = i
		p.checkName("segment", segment.name)
		if seen[segment.name] {
			p.wrong("segment %s: declared twice: give each a name of its own", segment.name)
		}
		seen[segment.name] = true
	}
	seen = map[string]bool{}
	for _, node := range p.network.nodes {
		p.checkName("node", node.name)
		if seen[node.name] {
			p.wrong("node %s: declared twice: give each a name of its own", node.name)
		}
		seen[node.name] = true
	}
}

func (p *planner) checkName(what, name string) {
	switch {
	case name == "":
		p.wrong("%s without a name: give it one", what)
	case len(name) > maxName:
		p.wrong("%s %s: the name has %d bytes: shorten it to %d", what, name, len(name), maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		p.wrong("%s %q: the name has white space or control characters: take them out", what, name)
	}
}

func (p *planner) planSegments() {
	names := newNamer()
	for _, segment := range p.network.segments {
		plan := SegmentPlan{Name: segment.name, Kind: segment.kind, MTU: segment.mtu}
		for _, text := range segment.texts {
			prefix, err := netip.ParsePrefix(text)
			switch {
			case err != nil:
				p.wrong("segment %s: prefix %q: write it like 10.0.1.0/24 or fd00:1::/64", segment.name, text)
				continue
			case prefix.Addr().Is4In6():
				p.wrong("segment %s: prefix %q: write an IPv4 prefix as such", segment.name, text)
				continue
			case overlapsAny(prefix, plan.Prefixes):
				p.wrong("segment %s: prefix %s overlaps another of the segment: take one out", segment.name, prefix)
				continue
			}
			plan.Prefixes = append(plan.Prefixes, prefix.Masked())
		}
		p.checkMTU("segment "+segment.name, segment.mtu, plan.Prefixes)
		if segment.kind == KindSwitch {
			plan.Bridge = names.name(segment.name)
		}
		p.plan.Segments = append(p.plan.Segments, plan)
	}
	p.used = make([]map[netip.Addr]int, len(p.plan.Segments))
	for i := range p.used {
		p.used[i] = map[netip.Addr]int{}
	}
}

func overlapsAny(prefix netip.Prefix, others []netip.Prefix) bool {
	for _, other := range others {
		if prefix.Overlaps(other) {
			return true
		}
	}
	return false
}

const (
	minMTU4, minMTU6, maxMTU = 68, 1280, 65535 // RFC 791, RFC 8200
	maxPorts                 = 1023            // BR_MAX_PORTS, net/bridge/br_private.h
)

func (p *planner) checkMTU(where string, mtu int, prefixes []netip.Prefix) {
	least := minMTU4
	for _, prefix := range prefixes {
		if prefix.Addr().Is6() {
			least = minMTU6
		}
	}
	if mtu != 0 && (mtu < least || mtu > maxMTU) {
		p.wrong("%s: MTU %d: it must be between %d and %d", where, mtu, least, maxMTU)
	}
}

// checkSegments counts ports.
func (p *planner) checkSegments() {
	for i := range p.plan.Segments {
		segment := &p.plan.Segments[i]
		switch {
		case segment.Kind == KindWire && len(segment.Ports) != 2:
			p.wrong("segment %s: a wire has two ports, this one has %d%s: attach two nodes, or declare a switch",
				segment.Name, len(segment.Ports), nodesOf(segment))
		case len(segment.Ports) > maxPorts:
			p.wrong("segment %s: a bridge has %d ports at most, this one has %d: spread them over several switches",
				segment.Name, maxPorts, len(segment.Ports))
		}
	}
}

func nodesOf(segment *SegmentPlan) string {
	if len(segment.Ports) == 0 {
		return ""
	}
	var names []string
	for _, ref := range segment.Ports {
		names = append(names, ref.Node)
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
