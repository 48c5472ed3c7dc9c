package harness

import (
	"errors"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Impair has this happen to what the node sends by the port from now on, instead of what
// happens to it by now: the zero Impairment is nothing. A plan, a twin and Lab.Change have it.
// What waits there is lost. An error is errors.ErrUnsupported where the kernel has no netem.
func (p *Port) Impair(i topo.Impairment) error {
	return p.here().impairWay(i, sending)
}

// ImpairReceived is Impair of what comes to the node by the port: from a switch, or from the
// other end of a wire, of which it is what that sends.
func (p *Port) ImpairReceived(i topo.Impairment) error {
	p = p.here()
	where := spot{p.node.name, p.plan.Name}
	if err := p.node.lab.ours(); err != nil {
		return at(err, "node %s: port %s: impair", where.node, where.port)
	}
	if _, on := p.node.lab.now().site.outer[where]; on {
		if p.node.lab.switchOf(where).Kind == topo.KindOVS {
			return at(errors.New("it is on an Open vSwitch, which queues by itself: choose what happens to it where it is sent"), "node %s: port %s: impair", where.node, where.port)
		}
		return p.impairWay(i, receiving)
	}
	peer, has := p.node.lab.now().site.farEnd(where)
	if !has {
		return at(errors.New("what comes there passes no end of its own: choose what happens to it where it is sent"), "node %s: port %s: impair", p.node.name, p.plan.Name)
	}
	return p.node.lab.now().byName[peer.node].Port(peer.port).impairWay(i, sending)
}

// direction is which of a port's ways is impaired.
type direction int

const (
	sending direction = iota
	receiving
)

// of is the place in a port's plan.
func (d direction) of(p *topo.PortPlan) *topo.Impairment {
	if d == receiving {
		return &p.Receives
	}
	return &p.Sends
}

func (p *Port) impairWay(i topo.Impairment, d direction) error {
	return p.impair(i, d, spot{}, func(port *topo.PortPlan) { *d.of(port) = i })
}

// impair has an impairment happen on a port's way, where choose puts it into the plan: to all, or to what comes from one other
// port alone.
func (p *Port) impair(i topo.Impairment, d direction, from spot, choose func(*topo.PortPlan)) error {
	where := spot{p.node.name, p.plan.Name}
	return p.node.alterOf(
		func(n *Node) error {
			s, what, problem := n.lab.now().site, "impair", i.Check()
			if from != (spot{}) {
				what = "impair what comes from " + from.node + "/" + from.port
				if problem == nil {
					problem = s.notPaired(where, from)
				}
			}
			if problem == nil {
				problem = s.impair(where, d, choose)
			}
			return at(problem, "port %s: %s", where.port, what)
		},
		func(plan *topo.NodePlan) {
			if port, has := plan.Port(where.port); has && byIndex(plan, p.index) != nil { // never another in its place
				choose(port)
			}
		},
		from.node)
}

// impair has what was chosen of a port's way happen there.
func (s *site) impair(where spot, d direction, choose func(*topo.PortPlan)) error {
	port, has := s.owners[where.node].Port(where.port)
	if !has {
		return errors.New("it is a device of the node's own: choose the port that it sends by")
	}
	chosen := *port
	choose(&chosen)
	return s.impairs(where, d, s.queueing(where, d, port), s.queueing(where, d, &chosen)).run()
}

// farEnd is the other end of a wire.
func (s *site) farEnd(where spot) (peer spot, has bool) {
	segment, known := s.plan.Segment(s.device(where).Segment)
	if !known || segment.Kind != topo.KindWire {
		return spot{}, false
	}
	for _, ref := range segment.Ports {
		if end := (spot{ref.Node, ref.Port}); end != where {
			return end, true
		}
	}
	return spot{}, false
}

// impairing is another queueing of what an interface sends.
type impairing struct {
	ground        *ground
	index, mtu    int
	before, after queueing
	where         string
}

// impairs is another queueing of one of a port's ways: at its interface, or at the
// switch's end.
func (s *site) impairs(where spot, d direction, before, after queueing) impairing {
	i := impairing{s.grounds[where.node], s.indexes[where], s.device(where).MTU, before, after, "port " + where.port}
	if d == receiving {
		i.ground, i.index, i.where = s.fabric, s.outer[where], "port "+where.port+": the switch's end"
	}
	return i
}

// run tells the kernel.
func (i impairing) run() error {
	if i.before.equal(i.after) {
		return nil
	}
	parts, queues := new(batch), new(batch)
	i.apart(parts)
	err := i.ground.rtnl.do(parts)
	if err == nil {
		i.queue(queues)
		err = i.ground.rtnl.do(queues)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		switch {
		case queues.asked == 0:
			err = at(missing{"htb or u32 is not in this kernel, which keep apart what comes from several: load the modules sch_htb and cls_u32"}, "%s", i.where)
		case i.after.netem():
			err = at(missing{"netem is not in this kernel, which all but a rate needs: load the module sch_netem"}, "%s", i.where)
		}
	}
	return errors.Join(err, i.restore())
}

// restore gives an interface what it had, when the kernel refused something.
func (i impairing) restore() error {
	b := new(batch)
	b.qdisc(unix.RTM_DELQDISC, 0, i.index, rootQdisc, 0, describe("take what came of it away"))
	if err := i.ground.rtnl.do(b); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	back := new(batch)
	i.before, i.after = queueing{}, i.before
	i.apart(back)
	i.queue(back)
	return i.ground.rtnl.do(back)
}

// undone is what takes it back.
func (i impairing) undone() impairing {
	i.before, i.after = i.after, i.before
	return i
}

// impairPorts begins what the plan has happen to packets, and to their checksums, at ports: when the network works,
// since what makes sure of that has a bound.
func (s *site) impairPorts(ports []spot) error {
	if err := s.checksum(s.notOffloaded(ports)); err != nil {
		return err
	}
	for _, where := range ports {
		node := s.owners[where.node]
		port, has := node.Port(where.port)
		if !has {
			continue
		}
		for _, d := range []direction{sending, receiving} {
			if err := s.impairs(where, d, queueing{}, s.queueing(where, d, port)).run(); err != nil {
				return at(err, "%s", title(node))
			}
		}
	}
	return nil
}

// impair does so of ports that are new, and changes what happens at those that stay.
func (t *transition) impair() error {
	if err := t.site.impairPorts(t.added); err != nil {
		return err
	}
	return t.keptPorts(func(where spot, was, port *topo.PortPlan) error {
		if port.NoOffload && !was.NoOffload {
			if err := t.site.checksum([]spot{where}); err != nil {
				return err
			}
		}
		for _, d := range []direction{sending, receiving} {
			change := t.requeues(where, d, was, port)
			if err := change.run(); err != nil {
				return err
			}
			if !change.isApart() { // else see queuesAgain
				t.did(func() error { return change.undone().run() })
			}
		}
		return nil
	})
}

// keptPorts calls f for each port that stays, with its plan before and after.
func (t *transition) keptPorts(f func(where spot, was, port *topo.PortPlan) error) error {
	for i := range t.site.plan.Nodes {
		after := &t.site.plan.Nodes[i]
		before, stays := t.was.plan.Node(after.Name)
		if !stays {
			continue
		}
		for j := range after.Ports {
			port := &after.Ports[j]
			was, had := before.Port(port.Name)
			d, has := after.Device(port.Name)
			if !had || !has || byIndex(before, d.Index) == nil {
				continue // it is new
			}
			if err := f(spot{after.Name, port.Name}, was, port); err != nil {
				return at(err, "%s", title(after))
			}
		}
	}
	return nil
}

// requeues is what becomes of the queueing of a port that stays.
func (t *transition) requeues(where spot, d direction, was, port *topo.PortPlan) impairing {
	return t.site.impairs(where, d, t.was.site.queueing(where, d, was), t.site.queueing(where, d, port))
}

// queuesAgain gives ports that stay what they had for what came from others, once those are back.
func (t *transition) queuesAgain() error {
	return t.keptPorts(func(where spot, was, port *topo.PortPlan) error {
		change := t.requeues(where, receiving, was, port)
		if !change.isApart() || change.before.equal(change.after) {
			return nil
		}
		return change.restore()
	})
}

// loses says whether all is lost that one port sends to another.
func (s *site) loses(from, to spot) bool {
	sender, receiver := s.portOf(from), s.portOf(to)
	return sender.Sends.Loss == 1 || receiver.From(from.node, from.port).Loss == 1
}

// portOf is a port's plan; that of no port where there is none.
func (s *site) portOf(where spot) *topo.PortPlan {
	if node := s.owners[where.node]; node != nil {
		if port, has := node.Port(where.port); has {
			return port
		}
	}
	return &topo.PortPlan{}
}
