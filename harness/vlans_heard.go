package harness

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/topo"
)

// hearing tells apart who hears each other on a link: where a switch keeps VLANs apart, those
// of one VLAN.
type hearing struct {
	site  *site
	vlans map[string]map[spot]carried // by switch; none of one that keeps none apart
	same  map[string]string           // what nodes' bridges join on the link
}

// hearing is nil where no switch keeps VLANs apart.
func (s *site) hearing() *hearing {
	var h *hearing
	for i := range s.plan.Segments {
		vlans := vlansOf(s.plan, &s.plan.Segments[i], s.chosen)
		if vlans != nil && h == nil {
			h = &hearing{site: s, vlans: map[string]map[spot]carried{}}
		}
		if vlans != nil {
			h.vlans[s.plan.Segments[i].Name] = vlans
		}
	}
	return h
}

// groups are the ports of a link, each with those that it can hear.
func (h *hearing) groups(link *topo.SegmentPlan) [][]topo.PortRef {
	if h == nil {
		return [][]topo.PortRef{link.Ports}
	}
	s := h.site
	h.same = map[string]string{}
	for _, ref := range link.Ports {
		own := spot{ref.Node, ref.Port}
		if voice := s.voice(own); voice != own {
			h.join(h.of(own), fmt.Sprint("bridge ", voice))
		}
	}
	for _, ref := range link.Ports {
		port, _ := s.owners[ref.Node].Port(ref.Port)
		h.joinPatched(port.Wired())
	}
	var order []string
	grouped := map[string][]topo.PortRef{}
	for _, ref := range link.Ports {
		if s.plan.Link(s.device(spot{ref.Node, ref.Port}).Segment) != s.plan.Link(link.Name) {
			continue // the access port of a VLAN, which is a link of its own
		}
		name := h.leader(h.of(spot{ref.Node, ref.Port}))
		if grouped[name] == nil {
			order = append(order, name)
		}
		grouped[name] = append(grouped[name], ref)
	}
	groups := make([][]topo.PortRef, len(order))
	for i, name := range order {
		groups[i] = grouped[name]
	}
	return groups
}

// around is a link with those ports alone that an interface on it can hear: a port of it, or
// the bridge that such ones are ports of.
func (s *site) around(link *topo.SegmentPlan, own spot) *topo.SegmentPlan {
	near := *link
	near.Ports = nil
	for _, group := range s.hearing().groups(link) {
		if slices.ContainsFunc(group, func(ref topo.PortRef) bool { return s.voice(spot{ref.Node, ref.Port}) == s.voice(own) }) {
			near.Ports = group
		}
	}
	return &near
}

// of is where an interface's frames are heard.
func (h *hearing) of(at spot) string {
	d := h.site.device(at)
	nowhere := fmt.Sprint("nowhere ", at)
	switch {
	case d.Kind == topo.PortKind:
		port, _ := h.site.owners[at.node].Port(at.port)
		vlans := h.vlans[port.Wired()]
		switch {
		case vlans == nil:
			return "segment " + port.Wired()
		case vlans[at].untagged == 0:
			return nowhere
		}
		return vlanOf(port.Wired(), vlans[at].untagged)
	case d.Kind == vlanKind:
		lower, vlans := h.lower(spot{at.node, d.Parent})
		switch {
		case vlans == nil:
			return "segment " + d.Segment
		case !slices.Contains(vlans[lower].tagged, d.ID):
			return nowhere
		}
		port, _ := h.site.owners[at.node].Port(lower.port)
		return vlanOf(port.Wired(), d.ID)
	case d.Kind == "macvlan" || d.Kind == "ipvlan":
		return h.of(spot{at.node, d.Parent})
	case d.Parent != "" && !h.site.isRouted(d.Segment):
		return "segment " + d.Segment + " over " + h.of(spot{at.node, d.Parent})
	}
	return "segment " + d.Segment
}

// isRouted says whether what carries a segment passes routers, whatever its ends hear below.
func (s *site) isRouted(segment string) bool {
	plan, is := s.plan.Segment(segment)
	return is && plan.Routed
}

func vlanOf(segment string, id int) string { return fmt.Sprintf("segment %s VLAN %d", segment, id) }

// lower is the port of a switch that keeps VLANs apart below an interface of a node: itself,
// or the first that it bonds or bridges; with the VLANs of that switch's ports.
func (h *hearing) lower(at spot) (spot, map[spot]carried) {
	for _, port := range h.site.owners[at.node].Ports {
		below := spot{at.node, port.Name}
		if vlans := h.vlans[port.Wired()]; vlans != nil && (below == at || h.site.voice(below) == at) {
			return below, vlans
		}
	}
	return at, nil
}

// joinPatched joins what patch ports carry between an Open vSwitch and others: all VLANs, and without
// a tag VLAN 1.
func (h *hearing) joinPatched(name string) {
	segment, _ := h.site.plan.Segment(name)
	if segment == nil {
		return
	}
	untagged := func(name string) string {
		if h.vlans[name] == nil {
			return "segment " + name
		}
		return vlanOf(name, plainly.untagged)
	}
	for _, patch := range segment.Patches {
		h.join(untagged(name), untagged(patch.To))
		for _, own := range h.vlans[name] {
			for _, id := range own.ids() {
				if h.vlans[patch.To] != nil {
					h.join(vlanOf(name, id), vlanOf(patch.To, id))
				}
			}
		}
	}
}

// leader stands for all that is joined.
func (h *hearing) leader(name string) string {
	for h.same[name] != "" {
		name = h.same[name]
	}
	return name
}

func (h *hearing) join(a, b string) {
	if a, b = h.leader(a), h.leader(b); a != b {
		h.same[a] = b
	}
}

// lonely is the port of a group that nobody else can hear.
func lonely(h *hearing, group []topo.PortRef) []spot {
	if h == nil || len(group) != 1 {
		return nil
	}
	return []spot{{group[0].Node, group[0].Port}}
}
