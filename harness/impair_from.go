package harness

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// ImpairReceivedFrom has this happen to what comes to the node by the port from another port of the
// same switch from now on, and to nothing else: see topo.Segment.ImpairBetween. It is instead of what happens
// to all that comes (ImpairReceived), also where it is the zero Impairment.
//
//	far := topo.Impairment{Delay: 120 * time.Millisecond}
//	tokyo.Port("lan").ImpairReceivedFrom(london.Port("lan"), far)
func (p *Port) ImpairReceivedFrom(peer *Port, i topo.Impairment) error {
	p = p.here()
	if err := p.node.lab.ours(); err != nil {
		return at(err, "node %s: port %s: impair", p.node.name, p.plan.Name)
	}
	if peer == nil {
		return at(errors.New("there is no port that it comes from"), "node %s: port %s: impair", p.node.name, p.plan.Name)
	}
	peer = peer.here()
	where, from := spot{p.node.name, p.plan.Name}, spot{peer.node.name, peer.plan.Name}
	if peer.node.lab != p.node.lab {
		return at(fmt.Errorf("node %s is none of this lab's", from.node), "node %s: port %s: impair", where.node, where.port)
	}
	return p.impair(i, receiving, from, func(port *topo.PortPlan) { port.SetFrom(from.node, from.port, i) })
}

// notPaired is why nothing of its own can happen between two ports.
func (s *site) notPaired(to, from spot) error {
	receiver, sender := s.portOf(to), s.portOf(from)
	segment, known := s.plan.Segment(receiver.Wired())
	switch {
	case receiver.Name == "":
		return errors.New("it is a device of the node's own: choose the port that it comes by")
	case sender.Name == "":
		return fmt.Errorf("%s/%s is no port: choose the one that it is sent by", from.node, from.port)
	case sender.Wired() != receiver.Wired() || to.node == from.node:
		return errors.New("they are not two nodes' ports of one segment")
	case !known || segment.Kind == topo.KindWire:
		return errors.New("a wire joins two alone: choose what happens to all that comes (ImpairReceived)")
	case segment.Kind == topo.KindOVS:
		return errors.New("it is an Open vSwitch, which queues by itself: choose what happens where it is sent (Impair)")
	case s.outer[to] == 0 || s.outer[from] == 0:
		return errors.New("its frames pass no switch of its own: choose it of the switch that they pass")
	}
	return nil
}

// queueing is what happens to packets that an interface sends: to those that came to a switch by some
// of its ends, something of their own.
type queueing struct {
	all  topo.Impairment
	from []queuedFrom
}

// queuedFrom is what happens to what came by an end of a switch.
type queuedFrom struct {
	spot         // whose end it is
	outer string // what that is called
	index int
	topo.Impairment
}

func (q queueing) equal(other queueing) bool {
	return q.all == other.all && slices.Equal(q.from, other.from)
}

func (q queueing) isZero() bool { return q.all.IsZero() && len(q.from) == 0 }

func (q queueing) netem() bool {
	return q.all.Netem() || slices.ContainsFunc(q.from, func(from queuedFrom) bool { return from.Netem() })
}

// lane is that of what came from a port; the first for all that has none of its own.
func (q queueing) lane(from spot) lane {
	return lane(1 + slices.IndexFunc(q.from, func(other queuedFrom) bool { return other.spot == from }))
}

// queueing is that of a port's plan: of ends that are there.
func (s *site) queueing(where spot, d direction, port *topo.PortPlan) queueing {
	q := queueing{all: *d.of(port)}
	if d == sending || len(port.ReceivesFrom) == 0 {
		return q
	}
	segment, _ := s.plan.Segment(port.Wired())
	for _, pair := range port.ReceivesFrom {
		from := queuedFrom{spot: spot{pair.Node, pair.Port}, Impairment: pair.Impairment}
		if segment != nil {
			for _, ref := range segment.Ports {
				if (spot{ref.Node, ref.Port}) == from.spot {
					from.outer, from.index = ref.Outer, s.outer[from.spot]
				}
			}
		}
		if from.index != 0 && (!from.IsZero() || !q.all.IsZero()) {
			q.from = append(q.from, from)
		}
	}
	slices.SortFunc(q.from, func(a, b queuedFrom) int { return cmp.Compare(a.outer, b.outer) })
	return q
}

// isApart says whether something keeps apart, or did, what came from several.
func (i impairing) isApart() bool { return len(i.before.from)+len(i.after.from) > 0 }

// apart has requests that take away what there was, and keep apart what is to have lanes of its own.
func (i impairing) apart(b *batch) {
	if !i.before.isZero() {
		b.qdisc(unix.RTM_DELQDISC, 0, i.index, rootQdisc, 0, describe("%s: take what it does to packets away", i.where))
	}
	if len(i.after.from) == 0 {
		return
	}
	b.htb(i.index, !i.after.all.IsZero(), describe("%s: htb", i.where))
	if !i.after.all.IsZero() {
		b.class(0, i.index, describe("%s: class of htb", i.where))
	}
	for k, from := range i.after.from {
		b.class(lane(k+1), i.index, describe("%s: class of htb for %s", i.where, from.outer))
		b.cameBy(from.outer, lane(k+1), i.index, describe("%s: filter of what came from %s", i.where, from.outer))
	}
}

// queue has requests for the lanes.
func (i impairing) queue(b *batch) {
	mtu := max(i.mtu, defaultMTU)
	parent := uint32(rootQdisc)
	if len(i.after.from) > 0 {
		parent = lane(0).class()
	}
	b.lane(0, i.index, parent, mtu, i.after.all, i.where)
	for k, from := range i.after.from {
		b.lane(lane(k+1), i.index, lane(k+1).class(), mtu, from.Impairment, i.where+": what came from "+from.outer)
	}
}
