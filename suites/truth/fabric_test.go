package truth_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// fabric is what a segment is made of, where it is neither a wire nor a switch. Its nodes' ports are
// called as they would be there, so that all else in a network is the same.
type fabric struct {
	name    string
	feature harness.Feature
	// tunnel says that rules of its ends may stop what carries it, of which nobody says that it isolates;
	// bare that it carries packets alone, and nobody asks for neighbours.
	tunnel, bare bool
	pair         bool // it joins two nodes
	// declare makes the segment, of which nodes are on one or another in turn, and what it is over.
	declare func(n *topo.Network, s segment, number int) (on []*topo.Segment, under topo.Attachment)
	// flows says that it has some.
	flows bool
}

// fabrics are all: a new one is a row here.
var fabrics = []fabric{
	{name: "OVS", feature: harness.OVS, declare: func(n *topo.Network, s segment, _ int) ([]*topo.Segment, topo.Attachment) {
		return []*topo.Segment{n.OVS(s.name, s.prefixes...)}, nil
	}, flows: true},
	{name: "OVS patched to OVS", feature: harness.OVS, declare: func(n *topo.Network, s segment, _ int) ([]*topo.Segment, topo.Attachment) {
		outer := n.OVS("x-" + s.name)
		return []*topo.Segment{n.OVS(s.name, s.prefixes...).Patch(outer), outer}, nil
	}, flows: true},
	over("VLAN", harness.VLAN, func(n *topo.Network, s segment, under *topo.Segment) *topo.Segment {
		return n.VLAN(s.name, under, 7, s.prefixes...)
	}),
	over("MACVLAN", harness.MACVLAN, func(n *topo.Network, s segment, under *topo.Segment) *topo.Segment {
		return n.MACVLAN(s.name, under, s.prefixes...)
	}),
	over("IPVLAN", harness.IPVLAN, func(n *topo.Network, s segment, under *topo.Segment) *topo.Segment {
		return n.IPVLAN(s.name, under, s.prefixes...)
	}),
	tunnelled("VXLAN", harness.VXLAN, false, func(n *topo.Network, s segment, under *topo.Segment, number int) *topo.Segment {
		return n.VXLAN(s.name, under, number, s.prefixes...)
	}),
	paired(tunnelled("Geneve", harness.Geneve, false, func(n *topo.Network, s segment, under *topo.Segment, number int) *topo.Segment {
		return n.Geneve(s.name, under, number, s.prefixes...)
	})),
	tunnelled("GRE", harness.GRE, true, func(n *topo.Network, s segment, under *topo.Segment, number int) *topo.Segment {
		return n.GRE(s.name, under, number, s.prefixes...)
	}),
	tunnelled("WireGuard", harness.WireGuard, true, func(n *topo.Network, s segment, under *topo.Segment, _ int) *topo.Segment {
		return n.WireGuard(s.name, under, s.prefixes...)
	}),
}

// over is a fabric over a switch without addresses.
func over(name string, feature harness.Feature, on func(*topo.Network, segment, *topo.Segment) *topo.Segment) fabric {
	return fabric{name: name, feature: feature, declare: func(n *topo.Network, s segment, _ int) ([]*topo.Segment, topo.Attachment) {
		under := n.Switch("u-" + s.name)
		return []*topo.Segment{on(n, s, under)}, under.NoAddress()
	}}
}

// tunnelled is a fabric over a switch whose addresses its ends have, with a number.
func tunnelled(name string, feature harness.Feature, bare bool, on func(*topo.Network, segment, *topo.Segment, int) *topo.Segment) fabric {
	return fabric{name: name, feature: feature, tunnel: true, bare: bare, declare: func(n *topo.Network, s segment, number int) ([]*topo.Segment, topo.Attachment) {
		under := n.Switch("u-"+s.name, fmt.Sprintf("172.31.%d.0/24", number))
		return []*topo.Segment{on(n, s, under, number)}, under
	}}
}

func paired(f fabric) fabric {
	f.pair = true
	return f
}

// seldom is how many segments there are to one that is made of something else.
const seldom = 12

// weave makes some segments of something else. What is drawn for that is drawn apart, so that all else of
// a seed is what it was.
func (g *generator) weave() {
	apart := &generator{world: g.world, r: rand.New(rand.NewPCG(g.seed, 10))}
	for i := range g.segments {
		if !apart.chance(seldom) || !g.hosted(g.segments[i].name) {
			continue
		}
		f := fabrics[apart.r.IntN(len(fabrics))]
		on := g.nodesOn(g.segments[i].name)
		if f.tunnel && !g.carries(f.bare) || f.pair && len(on) != 2 {
			continue
		}
		g.segments[i].made, g.segments[i].wire = f.name, false
		if apart.naming = "flow of an Open vSwitch"; f.flows && apart.chance(2) {
			apart.flow(g.segments[i].name, on)
		}
	}
	if apart.chance(seldom) {
		apart.choose(faults.rows).add(apart)
	}
}

// hosted says whether each port on a segment has an address: nobody bridges it, or hands frames on there.
func (g *generator) hosted(name string) bool {
	for _, n := range g.nodes {
		for _, p := range n.ports {
			if near(p.segment) == near(name) && len(p.at) == 0 {
				return false
			}
		}
	}
	return true
}

// nodesOn are those that have a port on a segment.
func (g *generator) nodesOn(segment string) (names []string) {
	for _, n := range g.nodes {
		if slices.ContainsFunc(n.ports, func(p port) bool { return p.segment == segment }) {
			names = append(names, n.name)
		}
	}
	return names
}

// atAnEnd are the hooks where a rule may meet what carries a tunnel.
var atAnEnd = regexp.MustCompile(`hook (input|output|prerouting|postrouting|ingress|egress)|INPUT|OUTPUT|PREROUTING|POSTROUTING`)

// carries says whether nothing else that is in the network meets what carries a tunnel, or of a bare one
// is about neighbours.
func (g *generator) carries(bare bool) bool {
	return !slices.ContainsFunc(g.parts, func(p part) bool {
		return p.text == "" && (bare || p.mistake) || atAnEnd.MatchString(p.text)
	})
}

// flow ends some of what passes an Open vSwitch: fragments of it as well.
func (g *generator) flow(segment string, on []string) {
	in := pick(g.r, on...)
	what := pick(g.r, "udp,udp_dst=53", "tcp,tcp_dst=80", "icmp", "ip,in_port=PORT", "udp,in_port=PORT,udp_dst=53", "ip,nw_tos=0", "udp,tp_src=53")
	then := pick(g.r, "drop", "drop", "drop", "resubmit(,7)")
	var flows []string
	for _, six := range []bool{false, true} {
		match, ip := what, "ip"
		if six {
			protocol, rest, _ := strings.Cut(what, ",")
			match = map[string]string{"udp": "udp6", "tcp": "tcp6", "icmp": "icmp6,icmp_type=128", "ip": "ipv6"}[protocol]
			if ip = "ipv6"; rest != "" {
				match += "," + rest
			}
			// What finds neighbours is left alone.
			flows = append(flows, "priority=30,icmp6,icmp_type=135,actions=NORMAL", "priority=30,icmp6,icmp_type=136,actions=NORMAL")
		}
		flows = append(flows, "priority=20,"+ip+",ip_frag=yes,actions=drop", "priority=10,"+match+",actions="+then)
	}
	g.put(part{node: in, source: fmt.Sprintf("lab.OVS(%q).Ofctl(\"add-flow\", ...) // where %s is, each of %q", segment, in, flows), do: func(_ *scope, lab *harness.Lab, _ string) error {
		at, outer := switchOf(lab, segment, in)
		for _, flow := range flows {
			if _, err := at.Ofctl("add-flow", strings.ReplaceAll(flow, "PORT", outer)); err != nil {
				return err
			}
		}
		return nil
	}})
}

// switchOf is the Open vSwitch of a segment that a node is at, and what that calls its port.
func switchOf(lab *harness.Lab, segment, node string) (at *harness.OpenVSwitch, outer string) {
	for _, at = range lab.OVS(segment).Patched() {
		for _, ref := range at.Ports() {
			if ref.Node == node {
				return at, ref.Outer
			}
		}
	}
	return at, ""
}

// attach is a node's place on a segment, and on what that is over; at counts those who are there already.
func (s *woven) attach(p port) (to []topo.Attachment) {
	a := s.on[s.at%len(s.on)].NoAddress()
	if s.at++; len(s.on) > 1 {
		a = a.As(p.segment)
	}
	if len(p.at) > 0 {
		a = a.At(p.at...)
	}
	if len(p.also) > 0 {
		a = a.Also(p.also...)
	}
	if p.twice {
		a = a.Duplicate()
	}
	if to = append(to, a); s.under != nil {
		to = append(to, s.under)
	}
	return to
}

// woven is a segment as it is declared.
type woven struct {
	on    []*topo.Segment
	under topo.Attachment
	at    int
}

// wove declares a segment.
func (s segment) wove(n *topo.Network, number int) *woven {
	if i := slices.IndexFunc(fabrics, func(f fabric) bool { return f.name == s.made }); i >= 0 {
		on, under := fabrics[i].declare(n, s, number)
		return &woven{on: on, under: under}
	}
	declare := n.Switch
	if s.wire {
		declare = n.Wire
	}
	return &woven{on: []*topo.Segment{declare(s.name, s.prefixes...)}}
}

// fabrics are the names of those that it has, and what they need.
func (w *world) fabrics() (features []harness.Feature, names []string) {
	for _, f := range fabrics {
		if slices.ContainsFunc(w.segments, func(s segment) bool { return s.made == f.name }) {
			features, names = append(features, f.feature), append(names, f.name)
		}
	}
	return features, names
}
