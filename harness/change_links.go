package harness

import (
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// makeNodes makes the namespaces of what is new, and the layout that is to come.
func (t *transition) makeNodes() error {
	var prepare []func() error
	var fresh []*topo.NodePlan
	for i := range t.site.plan.Nodes {
		if node := &t.site.plan.Nodes[i]; t.fresh[node.Name] {
			fresh = append(fresh, node)
			prepare = append(prepare, t.site.prepare(node))
		}
	}
	if t.site.fabric == nil && t.site.hasSwitch() {
		prepare = append(prepare, prepareFabric)
	}
	grounds, err := makeGrounds(prepare)
	if err != nil {
		return err
	}
	t.did(func() error {
		for name := range t.fresh {
			t.next.byName[name].close() // with its threads
		}
		if t.site.fabric != t.was.fabric {
			t.site.fabric.close()
		}
		return nil
	})
	if len(grounds) > len(fresh) {
		t.site.fabric = grounds[len(fresh)]
	}
	t.next = &layout{plan: t.site.plan, site: t.site, fabric: t.site.fabric, byName: map[string]*Node{}}
	for i, node := range fresh {
		t.site.grounds[node.Name] = grounds[i]
	}
	for i := range t.site.plan.Nodes {
		plan := &t.site.plan.Nodes[i]
		node := t.was.byName[plan.Name]
		if t.fresh[plan.Name] {
			node = newNode(t.lab, plan, t.site.grounds[plan.Name])
		}
		t.next.nodes, t.next.byName[plan.Name] = append(t.next.nodes, node), node
	}
	for _, node := range t.was.nodes {
		if t.next.byName[node.name] == nil {
			t.gone = append(t.gone, node)
		}
	}
	return nil
}

// makeLinks makes bridges and pairs that are new.
func (t *transition) makeLinks() error {
	var fabric []request
	for i := range t.site.plan.Segments {
		segment := &t.site.plan.Segments[i]
		_, was := t.old.Segment(segment.Name)
		switch {
		case segment.Kind == topo.KindSwitch:
			fabric = append(fabric, t.switchPorts(segment, was)...)
		case segment.Kind == topo.KindWire && (!was || t.isNew(segment.Ports[0])):
			if err := t.wire(segment); err != nil {
				return err
			}
		}
	}
	if len(fabric) == 0 {
		return nil
	}
	return t.requests(t.site.fabric, fabric)
}

func (t *transition) isNew(ref topo.PortRef) bool { return t.fresh[ref.Node] || !t.samePort(ref) }

// switchPorts are the requests for a switch, or for what is new of it.
func (t *transition) switchPorts(segment *topo.SegmentPlan, was bool) (all []request) {
	s := t.site
	if !was {
		index := s.fabricNext
		s.fabricNext++
		s.bridges[segment.Name] = index
		all = append(all, request{
			func(b *batch) {
				b.addBridge(segment.Bridge, index, segment.MTU, describe("switch %s: make bridge", segment.Name))
			},
			func(b *batch) { b.delLink(index, describe("switch %s: take bridge away", segment.Name)) },
		}, request{do: func(b *batch) { b.setLink(index, true, describe("switch %s: set up", segment.Name)) }})
	}
	for _, ref := range segment.Ports {
		if !t.isNew(ref) {
			continue
		}
		where, index := spot{ref.Node, ref.Port}, s.fabricNext
		s.fabricNext++
		s.outer[where] = index
		t.added = append(t.added, where)
		all = append(all, request{
			func(b *batch) { s.addSwitchPort(b, segment, ref) },
			func(b *batch) {
				b.delLink(index, describe("switch %s: node %s: take port %s away", segment.Name, ref.Node, ref.Port))
			},
		})
	}
	return all
}

// wire makes one.
func (t *transition) wire(segment *topo.SegmentPlan) error {
	batches := map[string]*batch{}
	owner := t.site.addWire(batches, segment)
	for _, ref := range segment.Ports {
		t.added = append(t.added, spot{ref.Node, ref.Port})
	}
	g := t.site.grounds[owner]
	if err := g.rtnl.do(batches[owner]); err != nil {
		return at(err, "segment %s", segment.Name)
	}
	near := t.site.nearEnd(segment)
	t.did(func() error {
		b := new(batch)
		b.delLink(t.site.indexes[near], describe("take wire %s away", segment.Name))
		return g.rtnl.do(b)
	})
	return nil
}

// removeLinks takes pairs and bridges away that are no more.
func (t *transition) removeLinks() error {
	var fabric []request
	seen := map[string]bool{} // wires
	for i := range t.old.Nodes {
		node := &t.old.Nodes[i]
		if after := t.after(node); after.Name == "" { // with a port what is made on it would go unseen
			if err := t.requests(t.was.site.grounds[node.Name], t.oldDevices(node, after)); err != nil {
				return at(err, "%s", title(node))
			}
		}
		for _, d := range t.leaving(node) {
			where := spot{node.Name, d.Name}
			segment, _ := t.old.Segment(d.Segment)
			switch {
			case d.Kind != topo.PortKind || segment == nil:
			case segment.Kind == topo.KindSwitch:
				fabric = append(fabric, t.unplug(segment, where))
			case !seen[segment.Name]:
				seen[segment.Name] = true
				if err := t.cut(segment, where); err != nil {
					return err
				}
			}
		}
	}
	for i := range t.old.Segments {
		if segment := &t.old.Segments[i]; segment.Kind == topo.KindSwitch {
			if _, stays := t.plan.Segment(segment.Name); !stays {
				fabric = append(fabric, t.unbridge(segment))
			}
		}
	}
	if len(fabric) == 0 {
		return nil
	}
	return t.requests(t.was.fabric, fabric)
}

// unplug takes a port of a switch away.
func (t *transition) unplug(segment *topo.SegmentPlan, where spot) request {
	index := t.was.site.outer[where]
	delete(t.site.outer, where)
	ref := topo.PortRef{Node: where.node, Port: where.port}
	for _, r := range segment.Ports {
		if r.Node == where.node && r.Port == where.port {
			ref = r
		}
	}
	return request{
		func(b *batch) {
			b.delLink(index, describe("switch %s: node %s: take port %s away", segment.Name, where.node, where.port))
		},
		func(b *batch) {
			t.was.site.addSwitchPort(b, segment, ref)
			t.returned[where] = true
		},
	}
}

func (t *transition) unbridge(segment *topo.SegmentPlan) request {
	index := t.was.site.bridges[segment.Name]
	return request{
		func(b *batch) { b.delLink(index, describe("switch %s: take bridge away", segment.Name)) },
		func(b *batch) {
			b.addBridge(segment.Bridge, index, segment.MTU, describe("switch %s: make bridge again", segment.Name))
			b.setLink(index, true, describe("switch %s: set up", segment.Name))
		},
	}
}

// cut takes a wire away.
func (t *transition) cut(segment *topo.SegmentPlan, where spot) error {
	for _, ref := range segment.Ports {
		delete(t.site.isUp, spot{ref.Node, ref.Port})
	}
	g := t.was.site.grounds[where.node]
	b := new(batch)
	b.delLink(t.was.site.indexes[where], describe("take wire %s away", segment.Name))
	if err := g.rtnl.do(b); err != nil {
		return err
	}
	t.did(func() error {
		batches := map[string]*batch{}
		owner := t.was.site.addWire(batches, segment)
		for _, ref := range segment.Ports {
			t.returned[spot{ref.Node, ref.Port}] = true
		}
		return t.was.site.grounds[owner].rtnl.do(batches[owner])
	})
	return nil
}

// delLink takes an interface away, and the other end of a pair with it.
func (b *batch) delLink(index int, what func() string) {
	b.begin(unix.RTM_DELLINK, 0, ifinfo(index, 0, 0))
	b.end(what)
}

// nearEnd is the end of a wire that takes the message: see addWire.
func (s *site) nearEnd(segment *topo.SegmentPlan) spot {
	at := slices.IndexFunc(segment.Ports, func(ref topo.PortRef) bool { return s.isUp[spot{ref.Node, ref.Port}] })
	return spot{segment.Ports[max(at, 0)].Node, segment.Ports[max(at, 0)].Port}
}
