package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// edit is what a node was given since its lab is up, beside its declaration.
type edit struct {
	node  string
	other string // without which it is no more; "" for none
	apply func(*topo.NodePlan)
}

// alter does something to a node, which its plan and a twin have then as well. What is
// done to a lab is done one after another.
func (n *Node) alter(do func(*Node) error, apply func(*topo.NodePlan)) error {
	return n.alterOf(do, apply, "")
}

// alterOf is alter of what goes with another node, where one is named.
func (n *Node) alterOf(do func(*Node) error, apply func(*topo.NodePlan), other string) error {
	n = n.here()
	n.lab.changing.Lock()
	defer n.lab.changing.Unlock()
	if err := n.lab.ours(); err != nil {
		return at(err, "node %s", n.name)
	}
	if n.lab.now().byName[n.name] != n {
		return at(errGone, "node %s", n.name)
	}
	again := func(n *Node) error {
		if err := do(n); err != nil {
			return err
		}
		n.lab.edit(edit{n.name, other, apply})
		return nil
	}
	n.lab.turns.Add(1)
	defer n.lab.turns.Add(1)
	return n.did(again(n), again)
}

// Turn counts what was done to the lab by Change and by AddAddr and so on: it is odd while
// that is being done, and another afterwards. Who looks at a lab meanwhile sees neither what
// was nor what comes.
func (l *Lab) Turn() uint64 { return l.here().turns.Load() }

// errGone is of a node that Change has taken away.
var errGone = errors.New("it was taken out of the lab")

// edit has the plan follow. The caller holds l.changing.
func (l *Lab) edit(e edit) {
	now := *l.now()
	l.edits = append(l.edits, e)
	now.plan = edited(now.plan, e)
	now.site = now.site.by(now.plan)
	l.layout.Store(&now)
}

// edited is a plan with what nodes were given besides.
func edited(plan *topo.Plan, edits ...edit) *topo.Plan {
	for _, e := range edits {
		_, has := plan.Node(e.other)
		if node, ok := plan.Node(e.node); ok && (has || e.other == "") {
			changed := node.Clone()
			e.apply(&changed)
			plan = plan.With(changed)
		}
	}
	return plan
}

// by is the site by another plan of the same interfaces.
func (s *site) by(plan *topo.Plan) *site {
	next := *s
	next.plan = plan
	next.number()
	return &next
}

// loopback is the name of the interface that every namespace has.
const loopback = "lo"

// spotOn is the interface of a node that has the addresses on a segment, or goes by a name.
func (n *Node) spotOn(on string) (spot, error) {
	if on == loopback {
		return spot{n.name, on}, nil
	}
	plan, s := n.planned(), n.lab.now().site
	for _, port := range plan.Ports {
		if port.Segment == on {
			return s.voice(spot{n.name, port.Name}), nil
		}
	}
	if _, has := plan.Device(on); has {
		return s.voice(spot{n.name, on}), nil
	}
	var names []string
	for _, d := range plan.Devices {
		names = append(names, d.Name)
	}
	return spot{}, fmt.Errorf("%s is no segment that the node is on, and no interface of it; it has: %s", on, strings.Join(append(names, loopback), ", "))
}

// indexAt is an interface's.
func (s *site) indexAt(at spot) int {
	if at.port == loopback {
		return loIndex
	}
	return s.indexes[at]
}

// peers are the interfaces on the link of another, but for that one.
func (s *site) peers(at spot) (peers []spot) {
	d := s.device(at)
	segment, on := s.plan.Segment(d.Segment)
	if !on {
		return nil
	}
	for _, ref := range s.onLink(segment).Ports {
		if peer := s.voice(spot{ref.Node, ref.Port}); peer != at && !slices.Contains(peers, peer) {
			peers = append(peers, peer)
		}
	}
	return peers
}

// announced has all on an interface's link forget what they know of addresses that have
// come there: a request that was in vain, or whose they were.
func (l *Lab) announced(s *site, at spot, addrs ...netip.Addr) error {
	for _, peer := range s.peers(at) {
		if err := l.forget(s, peer, addrs...); err != nil {
			return err
		}
	}
	return nil
}

// forget makes an interface forget its entries for addresses, but for those that the test
// gave it.
func (l *Lab) forget(s *site, at spot, addrs ...netip.Addr) error {
	if s.isQuiet(at) {
		return nil // they are the plan's
	}
	for _, addr := range addrs {
		l.mu.Lock()
		given := l.neighbours[neighbour{at, addr}]
		l.mu.Unlock()
		if given {
			continue
		}
		if err := s.forget(at, addr); err != nil {
			return err
		}
	}
	return nil
}

// forget makes an interface forget its entry for an address, where it has one.
func (s *site) forget(at spot, addr netip.Addr) error {
	b := new(batch)
	b.forgetNeighbour(s.indexes[at], addr, describe("forget neighbour %s of %s", addr, at.node))
	if err := s.grounds[at.node].rtnl.do(b); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// addrsOf are the addresses of prefixes.
func addrsOf(prefixes []netip.Prefix) (addrs []netip.Addr) {
	for _, prefix := range prefixes {
		addrs = append(addrs, prefix.Addr())
	}
	return addrs
}
