package harness

import (
	"encoding/binary"
	"errors"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Impair has this happen to what the node sends by the port from now on, instead of what
// happens to it by now: the zero Impairment is nothing. A plan, a twin and Lab.Change have it.
// What waits there is lost. An error is errors.ErrUnsupported where the kernel has no netem.
func (p *Port) Impair(i topo.Impairment) error {
	return p.here().impair(i, sending)
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
		return p.impair(i, receiving)
	}
	peer, has := p.node.lab.now().site.farEnd(where)
	if !has {
		return at(errors.New("what comes there passes no end of its own: choose what happens to it where it is sent"), "node %s: port %s: impair", p.node.name, p.plan.Name)
	}
	return p.node.lab.now().byName[peer.node].Port(peer.port).impair(i, sending)
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

func (p *Port) impair(i topo.Impairment, d direction) error {
	where := spot{p.node.name, p.plan.Name}
	return p.node.alter(
		func(n *Node) error { return at(n.lab.impair(where, d, i), "port %s: impair", p.plan.Name) },
		func(plan *topo.NodePlan) {
			if port, has := plan.Port(where.port); has && byIndex(plan, p.index) != nil { // never another in its place
				*d.of(port) = i
			}
		})
}

func (l *Lab) impair(where spot, d direction, i topo.Impairment) error {
	s := l.now().site
	node := s.owners[where.node]
	port, has := node.Port(where.port)
	switch problem := i.Check(); {
	case problem != nil:
		return problem
	case !has:
		return errors.New("it is a device of the node's own: choose the port that it sends by")
	}
	return s.impairs(where, d, *d.of(port), i).run()
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

// impairing is another impairment of what an interface sends.
type impairing struct {
	ground        *ground
	index, mtu    int
	before, after topo.Impairment
	where         string
}

// impairs is another impairment of one of a port's ways: at its interface, or at the
// switch's end.
func (s *site) impairs(where spot, d direction, before, after topo.Impairment) impairing {
	i := impairing{s.grounds[where.node], s.indexes[where], s.device(where).MTU, before, after, "port " + where.port}
	if d == receiving {
		i.ground, i.index, i.where = s.fabric, s.outer[where], "port "+where.port+": the switch's end"
	}
	return i
}

// run tells the kernel.
func (i impairing) run() error {
	if i.before == i.after {
		return nil
	}
	b := new(batch)
	i.tell(b)
	err := i.ground.rtnl.do(b)
	if err == nil {
		return nil
	}
	if i.after.Netem() && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)) {
		err = at(missing{"netem is not in this kernel, which all but a rate needs: load the module sch_netem"}, "%s", i.where)
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
	i.before, i.after = topo.Impairment{}, i.before
	i.tell(back)
	return i.ground.rtnl.do(back)
}

// undone is what takes it back.
func (i impairing) undone() impairing {
	i.before, i.after = i.after, i.before
	return i
}

// handles of the queueing disciplines: what netem has been through waits for the rate, and
// queues there.
const (
	rootQdisc   = 0xffffffff // TC_H_ROOT
	netemHandle = 1 << 16
	tbfHandle   = 2 << 16
	fifoHandle  = 3 << 16
)

// tell has requests that make it so.
func (i impairing) tell(b *batch) {
	if !i.before.IsZero() {
		b.qdisc(unix.RTM_DELQDISC, 0, i.index, rootQdisc, 0, describe("%s: take what it does to packets away", i.where))
	}
	parent := uint32(rootQdisc)
	if i.after.Netem() {
		b.netem(i.index, i.after, describe("%s: netem %s", i.where, i.after))
		parent = netemHandle | 1
	}
	if i.after.Rate > 0 {
		b.rate(i.index, parent, max(i.mtu, defaultMTU), i.after, i.where)
	}
}

const defaultMTU = 1500

// beginQdisc begins a request about a queueing discipline of an interface, struct tcmsg of
// linux/rtnetlink.h.
func (b *batch) beginQdisc(kind, flags uint16, index int, parent, handle uint32) {
	header := make([]byte, 20)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint32(header[8:], handle)
	binary.NativeEndian.PutUint32(header[12:], parent)
	b.begin(kind, flags, header)
}

func (b *batch) qdisc(kind, flags uint16, index int, parent, handle uint32, what func() string) {
	b.beginQdisc(kind, flags, index, parent, handle)
	b.end(what)
}

const newQdisc = unix.NLM_F_CREATE | unix.NLM_F_REPLACE

// netem adds one (linux/pkt_sched.h). Delays go in nanoseconds, in attributes of their own:
// those of the options are in ticks of psched, which is not a microsecond anywhere.
func (b *batch) netem(index int, i topo.Impairment, what func() string) {
	limit := uint32(i.Limit)
	if limit == 0 || i.Rate > 0 { // then the queue that waits for the rate has it
		limit = 1 << 20
	}
	gap := uint32(0)
	if i.Reorder > 0 {
		gap = 1
	}
	options := []byte{}
	for _, value := range []uint32{0, limit, chance(i.Loss), gap, chance(i.Duplicate), 0} {
		options = binary.NativeEndian.AppendUint32(options, value)
	}
	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, rootQdisc, netemHandle)
	b.text(unix.TCA_KIND, "netem")
	nested := b.nest(unix.TCA_OPTIONS, options...)
	for _, part := range []struct {
		kind uint16
		of   float64
	}{{3, i.Reorder}, {4, i.Corrupt}} { // TCA_NETEM_REORDER, TCA_NETEM_CORRUPT: probability, correlation
		if part.of > 0 {
			b.attr(part.kind, append(binary.NativeEndian.AppendUint32(nil, chance(part.of)), 0, 0, 0, 0))
		}
	}
	b.attr(10, binary.NativeEndian.AppendUint64(nil, uint64(i.Delay)))  // TCA_NETEM_LATENCY64
	b.attr(11, binary.NativeEndian.AppendUint64(nil, uint64(i.Jitter))) // TCA_NETEM_JITTER64
	nested()
	b.end(what)
}

// chance is a part of one as the kernel has it, of 2^32 - 1.
func chance(part float64) uint32 { return uint32(part*0xffffffff + 0.5) }

// rate adds a token bucket (tbf), and the queue in it.
func (b *batch) rate(index int, parent uint32, mtu int, i topo.Impairment, where string) {
	const (
		parms, rate64, burst = 1, 4, 6 // TCA_TBF_PARMS, TCA_TBF_RATE64, TCA_TBF_BURST
		parmsSize            = 36      // struct tc_tbf_qopt: two struct tc_ratespec of 12 bytes, limit, buffer, mtu
		rateOffset           = 8       // of tc_ratespec
		bits                 = 8
	)
	bytes := uint64(i.Rate) / bits
	queued := i.Limit
	if queued == 0 {
		queued = defaultQueue
	}
	opt := make([]byte, parmsSize)
	binary.NativeEndian.PutUint32(opt[rateOffset:], uint32(min(bytes, 0xffffffff)))
	binary.NativeEndian.PutUint32(opt[24:], uint32(queued*(mtu+etherHeader))) // of the queue that is replaced
	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, parent, tbfHandle)
	b.text(unix.TCA_KIND, "tbf")
	nested := b.nest(unix.TCA_OPTIONS)
	b.attr(parms, opt)
	if bytes > 0xffffffff {
		b.attr(rate64, binary.NativeEndian.AppendUint64(nil, bytes))
	}
	b.u32(burst, uint32(burstOf(i, mtu)))
	nested()
	b.end(describe("%s: tbf rate %s", where, i.Rate))

	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, tbfHandle|1, fifoHandle)
	b.text(unix.TCA_KIND, "pfifo")
	b.u32(unix.TCA_OPTIONS, uint32(queued))
	b.end(describe("%s: queue of %d packets", where, queued))
}

// defaultQueue is how many packets wait for a rate: as many as an interface has room for
// (txqueuelen).
const defaultQueue = 1000

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
			if err := s.impairs(where, d, topo.Impairment{}, *d.of(port)).run(); err != nil {
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
	for i := range t.site.plan.Nodes {
		after := &t.site.plan.Nodes[i]
		before, stays := t.was.plan.Node(after.Name)
		if !stays {
			continue
		}
		for j := range after.Ports {
			if err := t.impairKept(before, after, &after.Ports[j]); err != nil {
				return at(err, "%s", title(after))
			}
		}
	}
	return nil
}

func (t *transition) impairKept(before, after *topo.NodePlan, port *topo.PortPlan) error {
	was, had := before.Port(port.Name)
	d, has := after.Device(port.Name)
	if !had || !has || byIndex(before, d.Index) == nil {
		return nil // it is new
	}
	if port.NoOffload && !was.NoOffload {
		if err := t.site.checksum([]spot{{after.Name, port.Name}}); err != nil {
			return err
		}
	}
	for _, d := range []direction{sending, receiving} {
		change := t.site.impairs(spot{after.Name, port.Name}, d, *d.of(was), *d.of(port))
		if err := change.run(); err != nil {
			return err
		}
		t.did(func() error { return change.undone().run() })
	}
	return nil
}

// loses says whether all is lost that one port sends to another.
func (s *site) loses(from, to spot) bool {
	sender, receiver := s.portOf(from), s.portOf(to)
	return sender.Sends.Loss == 1 || receiver.Receives.Loss == 1
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
