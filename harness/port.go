package harness

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/topo"
)

// Port is a node's end on a segment.
type Port struct {
	node  *Node
	index int
	plan  topo.PortPlan
}

// Port is the node's port on a segment: the first, if there are two. A port or a device
// of the node's own is found by the interface's name as well. A segment that the node is
// not on fails the test and lists those it is on.
func (n *Node) Port(segment string) *Port {
	n = n.here()
	n.lab.tb.Helper()
	found := n.lab.found
	for i, port := range n.planned().Ports {
		switch {
		case found == nil && port.Segment == segment:
			return &Port{node: n, index: n.planned().Devices[i].Index, plan: port}
		case found != nil && (port.Segment == segment || port.Name == segment):
			return &Port{node: n, index: found.indexOf(spot{n.name, port.Name}), plan: port}
		}
	}
	for i, port := range n.planned().Ports {
		if found == nil && port.Over == segment && segment != "" { // an access port, by its switch
			return &Port{node: n, index: n.planned().Devices[i].Index, plan: port}
		}
	}
	for _, d := range n.planned().Devices {
		if found == nil && d.Name == segment {
			return &Port{node: n, index: d.Index, plan: topo.PortPlan{Segment: d.Segment, Name: d.Name, MAC: d.MAC, MTU: d.MTU, Addrs: d.Addrs}}
		}
	}
	n.lab.tb.Fatalf("node %s is not on segment %q; it is on: %s", n.name, segment, n.portNames())
	return nil
}

// errNotOurs is what setting a link of somebody else's says.
var errNotOurs = errors.New("the namespace was attached, and is never configured: let who made it do that, or use Node.Netlink")

// Name is the interface's name in the namespace.
func (p *Port) Name() string { return p.here().plan.Name }

// Addrs are the port's planned addresses with their prefix lengths.
func (p *Port) Addrs() []netip.Prefix { return append([]netip.Prefix(nil), p.here().plan.Addrs...) }

// Up brings the interface up, and returns when it passes packets again, both
// ways, to those on the segment that are up themselves, and that a switch lets it talk to
// as it is: see Switch. The kernel dropped the
// port's IPv6 addresses and the routes through it at Down; addresses come back
// with Up, routes through a gateway do not.
func (p *Port) Up() error {
	p = p.here()
	return p.node.did(p.up(), func(n *Node) error { return p.of(n).up() })
}

// of is the same port of another lab's node.
func (p *Port) of(n *Node) *Port { return &Port{node: n, index: p.index, plan: p.plan} }

func (p *Port) up() error {
	if err := p.node.lab.ours(); err != nil {
		return at(err, "port %s", p.plan.Name)
	}
	b := new(batch)
	b.setLink(p.index, true, describe("set up"))
	for _, prefix := range p.now() {
		if prefix.Addr().Is6() {
			b.replaceAddr(p.index, prefix, describe("set address %s", prefix))
		}
	}
	if d, has := p.node.planned().Device(p.plan.Name); has {
		b.addEntries(d)
	}
	b.getLink(p.index, describe("look at link"))
	if err := p.do(b); err != nil {
		return err
	}
	return at(p.relink(), "port %s: wait for the link", p.plan.Name)
}

// now are the addresses that the interface is to have by now.
func (p *Port) now() []netip.Prefix {
	if d, has := p.node.planned().Device(p.plan.Name); has {
		return d.Addrs
	}
	return p.plan.Addrs
}

// relink settles the other ends: their carrier, what they remember of the time
// when nobody answered, and the port's IPv6 addresses, as ready does.
func (p *Port) relink() error {
	lab, own, now := p.node.lab, spot{p.node.name, p.plan.Name}, p.node.lab.now()
	s := now.site
	if outer, ok := s.outer[own]; ok {
		b := new(batch)
		b.getLink(outer, describe("look at the switch's end"))
		if err := now.fabric.rtnl.do(b); err != nil {
			return err
		}
	}
	var asker *spot
	voice := s.voice(own)
	planned, on := now.plan.Segment(p.plan.Segment)
	if !on {
		return nil // a device that is on no link
	}
	segment := s.around(s.onLink(planned), own)
	addrs := p.now()
	if voice != own { // a bridge's port: what is behind it was asked for in vain as well
		for _, ref := range segment.Ports {
			addrs = append(slices.Clone(addrs), s.device(s.voice(spot{ref.Node, ref.Port})).Addrs...)
		}
	}
	for _, ref := range segment.Ports {
		peer := s.voice(spot{ref.Node, ref.Port})
		if peer == voice {
			continue
		}
		up, err := p.remind(peer, addrs)
		if err != nil {
			return err
		}
		if up && asker == nil && !s.stacked(ref, topo.PortRef{Node: own.node, Port: own.port}) && lab.bridges(own, spot{ref.Node, ref.Port}) {
			asker = &peer
		}
	}
	if asker == nil { // nobody to pass packets to, or to ask
		return s.usable([]spot{voice})
	}
	if s.onOVS(own) { // whose flows may keep any question
		if err := s.usable([]spot{voice}); err != nil {
			return err
		}
		return p.forget(segment)
	}
	var questions []question
	for _, target := range s.asked(voice) {
		questions = append(questions, s.question(p.plan.Segment, *asker, voice, target))
	}
	questions = unambiguous(questions, s, segment)
	if s.isQuiet(voice) {
		if err := p.node.ground.usable(p.index, s.asked(voice)...); err != nil {
			return err
		}
		return p.node.ground.greets(s.device(voice))
	}
	if err := answered(questions); err != nil {
		return err
	}
	if err := s.routed(questions); err != nil {
		return err
	}
	return p.forget(segment)
}

// forget makes the port's node forget whom it has asked for before it could hear the
// answer: it would ask again a second later.
func (p *Port) forget(segment *topo.SegmentPlan) error {
	lab, s := p.node.lab, p.node.lab.now().site
	voice := s.voice(spot{p.node.name, p.plan.Name})
	for _, ref := range segment.Ports {
		peer := s.voice(spot{ref.Node, ref.Port})
		if peer == voice {
			continue
		}
		if err := lab.forget(s, voice, addrsOf(s.device(peer).Addrs)...); err != nil {
			return err
		}
	}
	return nil
}

// remind makes a peer forget its neighbour entries for addresses: one
// that is being asked for in vain fails later, although the port answers by now.
// It says whether the peer is up.
func (p *Port) remind(peer spot, addrs []netip.Prefix) (up bool, err error) {
	lab, s := p.node.lab, p.node.lab.now().site
	if up, err = s.grounds[peer.node].isUp(s.indexes[peer]); err != nil {
		return false, at(err, "look at port %s of %s", peer.port, peer.node)
	}
	return up, lab.forget(s, peer, addrsOf(addrs)...)
}

// Down takes the interface down; the other end loses its carrier.
func (p *Port) Down() error {
	p = p.here()
	return p.node.did(p.down(), func(n *Node) error { return p.of(n).down() })
}

func (p *Port) down() error {
	if err := p.node.lab.ours(); err != nil {
		return at(err, "port %s", p.plan.Name)
	}
	b := new(batch)
	b.setLink(p.index, false, describe("set down"))
	return p.do(b)
}

func (p *Port) do(b *batch) error {
	return at(p.node.ground.rtnl.do(b), "port %s", p.plan.Name)
}
