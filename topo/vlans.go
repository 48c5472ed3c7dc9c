package topo

import (
	"errors"
	"fmt"
	"slices"
)

const (
	lastVLAN  = 4094 // IEEE 802.1Q
	plainVLAN = 1    // of a port that chose none (vlan_default_pvid)
)

// Access is a port as in Port.Access.
func (s *Segment) Access(id int) Port { return s.port().Access(id) }

// Trunk is a port as in Port.Trunk.
func (s *Segment) Trunk(ids ...int) Port { return s.port().Trunk(ids...) }

// Access puts a port of a switch into a VLAN, 1 to 4,094: the node sends and gets frames
// without a tag, and talks to those alone whose ports are in that VLAN. Once a port of a
// switch has VLANs, the others are in VLAN 1, as on a switch that nobody told anything.
//
// Where Network.VLAN has a segment of that number over the switch, the port is on it: its
// addresses and routes are those of its neighbours who tag. Else its addresses are the
// switch's.
//
//	trunk := office.Switch("trunk")
//	staff := office.VLAN("staff", trunk, 100, "10.0.1.0/24")
//	guests := office.VLAN("guests", trunk, 200, "10.0.2.0/24")
//	office.Router("fw", trunk, staff, guests)
//	office.Host("pc", trunk.Access(100))
//	office.Host("phone", trunk.Access(200))
func (p Port) Access(id int) Port {
	p.choice.Access, p.access = id, true
	return p
}

// Trunk has a port of a switch carry frames with the tags of these VLANs, and with no
// others; without a tag those of Access, if that is chosen as well, and else none. A port
// without Trunk carries the tags of the segments of Network.VLAN that its node is on.
func (p Port) Trunk(ids ...int) Port {
	p.choice.Trunk, p.trunk = append(slices.Clone(p.choice.Trunk), ids...), true
	return p
}

// HasVLANs says whether any was chosen.
func (s SwitchPort) HasVLANs() bool { return s.Access != 0 || len(s.Trunk) > 0 }

// CheckVLANs says what is wrong with those that were chosen; nil for nothing.
func (s SwitchPort) CheckVLANs() error { return errors.Join(s.vlanProblems()...) }

func (s SwitchPort) vlanProblems() (problems []error) {
	if err := checkVLAN(s.Access); s.Access != 0 && err != nil {
		problems = append(problems, err)
	}
	for i, id := range s.Trunk {
		switch err := checkVLAN(id); {
		case slices.Contains(s.Trunk[:i], id):
			problems = append(problems, fmt.Errorf("VLAN %d is there twice: leave one out", id))
		case id == s.Access:
			problems = append(problems, fmt.Errorf("VLAN %d is that of frames without a tag: leave it out of the trunk's, or of Access", id))
		case err != nil:
			problems = append(problems, err)
		}
	}
	return problems
}

func checkVLAN(id int) error {
	if id < 1 || id > lastVLAN {
		return fmt.Errorf("VLAN %d: it is between 1 and %d", id, lastVLAN)
	}
	return nil
}

// Carried are the VLANs of a port, where its switch keeps VLANs apart: that of frames without
// a tag, 0 for none, and those of frames with one. The tags are those that the node makes
// itself, as in PortPlan.Tags.
func (s SwitchPort) Carried(tags []int) (untagged int, tagged []int) {
	untagged = s.Access
	tagged = slices.Clone(s.Trunk)
	if len(s.Trunk) == 0 {
		tagged = slices.Clone(tags)
	}
	if !s.HasVLANs() && !slices.Contains(tagged, plainVLAN) {
		untagged = plainVLAN
	}
	return untagged, slices.DeleteFunc(tagged, func(id int) bool { return id == untagged })
}

// Wired is the segment that the interface is an end of: the switch, of an access port on a
// VLAN, and else the port's segment.
func (p *PortPlan) Wired() string {
	if p == nil {
		return ""
	}
	if p.Over != "" {
		return p.Over
	}
	return p.Segment
}

// VLANs are the ports of a switch by the VLANs that they carry, with a tag or without; nil
// where no port of it has VLANs, so that all of them are one.
func (p *Plan) VLANs(segment string) map[int][]PortRef {
	s, known := p.Segment(segment)
	if !known || !s.Kind.IsSwitch() {
		return nil
	}
	carried, chosen := map[int][]PortRef{}, false
	for _, ref := range s.Ports {
		node, _ := p.Node(ref.Node)
		port, has := node.Port(ref.Port)
		if !has {
			continue
		}
		chosen = chosen || port.Switch.HasVLANs()
		untagged, tagged := port.Switch.Carried(port.Tags)
		if untagged != 0 {
			tagged = append(tagged, untagged)
		}
		for _, id := range tagged {
			carried[id] = append(carried[id], ref)
		}
	}
	if !chosen {
		return nil
	}
	return carried
}

// segmentOf is the segment that a port is on: that which it is attached to, or the VLAN over
// it in which it is an access port.
func (p *planner) segmentOf(at end) (segment int, known bool) {
	port := &p.network.nodes[at.node].ports[at.port]
	segment, known = p.segments[port.segment]
	if !known || port.choice.Access == 0 {
		return segment, known
	}
	for i, other := range p.network.segments {
		if other.overlay == vlanOverlay && other.over == port.segment && other.id == port.choice.Access {
			return i, true
		}
	}
	return segment, true
}

// checkVLANs checks those that were chosen of a port.
func (p *planner) checkVLANs(at end) {
	port := &p.network.nodes[at.node].ports[at.port]
	if port.access && port.choice.Access == 0 {
		p.wrong("%s: %v", p.place(at), checkVLAN(0))
	}
	if port.trunk && len(port.choice.Trunk) == 0 {
		p.wrong("%s: a trunk without a VLAN: give it one", p.place(at))
	}
	for _, problem := range port.choice.vlanProblems() {
		p.wrong("%s: %v", p.place(at), problem)
	}
}

// tags notes at a node's ports of a switch which VLANs the node itself makes there; parent is
// the interface that it makes them on.
func (p *planner) tags(segment *Segment, at end, parent int) {
	if segment.overlay != vlanOverlay || !segment.over.kind.IsSwitch() {
		return
	}
	node := p.network.nodes[at.node]
	for j := range node.ports {
		port := &node.ports[j]
		if port.segment != segment.over || p.voice(end{at.node, j}).port != parent {
			continue
		}
		if port.choice.Access == segment.id {
			p.wrong("%s: VLAN %d is that of frames without a tag at its port of %s: leave this out, or Access there", p.place(at), segment.id, shown(segment.over.name))
		}
		plan := &p.plan.Nodes[at.node].Ports[j]
		plan.Tags = append(plan.Tags, segment.id)
	}
}
