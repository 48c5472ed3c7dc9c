package harness

import (
	"github.com/nstest/nstest/topo"
)

// makePairs makes every bridge and every veth pair, each with one message. A
// bridge goes up after its last port: before that every port costs it a look at
// all the others.
func (s *site) makePairs() error {
	fabric := new(batch)
	outer := map[string]*batch{} // of wires, by the node that has the outer end
	var order []string
	s.fabricNext, s.bridges = firstIndex, map[string]int{}
	for i := range s.plan.Segments {
		segment := &s.plan.Segments[i]
		if segment.Kind.IsSwitch() {
			s.addSwitch(fabric, segment)
			continue
		}
		if segment.Kind != topo.KindWire {
			continue // its ports are made on others
		}
		owner := s.addWire(outer, segment)
		if len(outer[owner].what) == 1 {
			order = append(order, owner)
		}
	}
	if s.fabric != nil {
		if err := s.fabric.rtnl.do(fabric); err != nil {
			return err
		}
	}
	for _, owner := range order {
		if err := s.grounds[owner].rtnl.do(outer[owner]); err != nil {
			return at(err, "%s", title(s.owners[owner]))
		}
	}
	return nil
}

// addSwitch makes the segment's bridge, unless an Open vSwitch is that, and a pair for each of
// its ports.
func (s *site) addSwitch(b *batch, segment *topo.SegmentPlan) {
	if segment.Kind == topo.KindSwitch {
		s.bridges[segment.Name] = s.fabricNext
		s.fabricNext++
		b.addBridge(segment.Bridge, s.bridges[segment.Name], segment.MTU, describe("switch %s: make bridge", segment.Name))
	}
	for _, ref := range segment.Ports {
		s.outer[spot{ref.Node, ref.Port}] = s.fabricNext
		s.fabricNext++
		s.addSwitchPort(b, segment, ref)
	}
	if segment.Kind == topo.KindSwitch {
		b.setLink(s.bridges[segment.Name], true, describe("switch %s: set up", segment.Name))
	}
}

// addSwitchPort makes the pair of a switch's port.
func (s *site) addSwitchPort(b *batch, segment *topo.SegmentPlan, ref topo.PortRef) {
	at := spot{ref.Node, ref.Port}
	b.addVeth(
		end{name: ref.Outer, index: s.outer[at], mtu: s.device(at).MTU, master: s.bridges[segment.Name]},
		s.inner(at), describe("switch %s: node %s: make port %s", segment.Name, ref.Node, ref.Port))
}

// addWire makes the segment's pair. The outer end is the router's if there is
// one: it takes the message, and is up at once. It returns that node's name.
func (s *site) addWire(outer map[string]*batch, segment *topo.SegmentPlan) string {
	near, far := segment.Ports[0], segment.Ports[1]
	if s.owners[far.Node].Forward && !s.owners[near.Node].Forward {
		near, far = far, near
	}
	b := outer[near.Node]
	if b == nil {
		b = new(batch)
		outer[near.Node] = b
	}
	at := spot{near.Node, near.Port}
	s.isUp[at] = true
	out := s.inner(at)
	b.addVeth(out, s.inner(spot{far.Node, far.Port}), describe("port %s: make wire %s", near.Port, segment.Name))
	return near.Node
}

// inner is a node's own end of a pair.
func (s *site) inner(at spot) end {
	port := s.device(at)
	return end{
		name:  port.Name,
		index: s.indexes[at],
		mac:   port.MAC,
		mtu:   port.MTU,
		fd:    s.grounds[at.node].fd,
	}
}
