package harness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Switch is what was chosen of the switch's end of the port, in the declaration or since:
// the zero SwitchPort of one that is on no switch.
func (p *Port) Switch() topo.SwitchPort {
	p = p.here()
	p.node.lab.mu.Lock()
	defer p.node.lab.mu.Unlock()
	return p.node.lab.switchPort(spot{p.node.name, p.plan.Name})
}

// SetIsolated has the switch hand nothing on between this port and other isolated ones,
// or do so again, as topo's Isolated.
func (p *Port) SetIsolated(yes bool) error {
	return p.setSwitch(func(s *topo.SwitchPort) { s.Isolated = yes })
}

// SetLocked has the switch take frames at this port from those MACs alone that have an
// entry there, or from all again, as topo's Locked. An older kernel than Linux 5.18 cannot,
// which is an error that is errors.ErrUnsupported.
func (p *Port) SetLocked(yes bool) error {
	return p.setSwitch(func(s *topo.SwitchPort) { s.Locked = yes })
}

// SetLearning says whether the switch learns MACs at this port: topo's NoLearning is false.
// What it has learned there it forgets.
func (p *Port) SetLearning(yes bool) error {
	return p.setSwitch(func(s *topo.SwitchPort) { s.NoLearning = !yes })
}

// SetFlood says whether frames to a MAC that has no entry are sent to this port: topo's
// NoFlood is false.
func (p *Port) SetFlood(yes bool) error {
	return p.setSwitch(func(s *topo.SwitchPort) { s.NoFlood = !yes })
}

// SetStatic gives the switch these entries at this port, and takes those away that it was
// given there before, as topo's Static; none for none.
func (p *Port) SetStatic(macs ...net.HardwareAddr) error {
	p = p.here()
	entries := make([][6]byte, len(macs))
	for i, mac := range macs {
		if len(mac) != len(entries[i]) {
			return at(fmt.Errorf("MAC \"%s\": give six bytes", mac), "node %s: port %s: static entry", p.node.name, p.plan.Name)
		}
		copy(entries[i][:], mac)
	}
	return p.setSwitch(func(s *topo.SwitchPort) { s.Static = entries })
}

// setSwitch changes the switch's end, and notes that it was.
func (p *Port) setSwitch(change func(*topo.SwitchPort)) error {
	p = p.here()
	again := func(n *Node) error { return n.lab.setSwitch(spot{n.name, p.plan.Name}, change) }
	return p.node.did(again(p.node), again)
}

// switchPort is what was chosen of a switch's end last. The caller holds l.mu.
func (l *Lab) switchPort(at spot) topo.SwitchPort {
	if chosen, set := l.switched[at]; set {
		return chosen
	}
	return declaredEnd(l.now().plan, at)
}

// declaredEnd is what was chosen of a switch's end in the declaration.
func declaredEnd(plan *topo.Plan, at spot) topo.SwitchPort {
	if node, has := plan.Node(at.node); has {
		if port, has := node.Port(at.port); has {
			return port.Switch
		}
	}
	return topo.SwitchPort{}
}

func (l *Lab) setSwitch(which spot, change func(*topo.SwitchPort)) error {
	if err := l.ours(); err != nil {
		return at(err, "port %s", which.port)
	}
	if _, is := l.now().site.outer[which]; !is {
		return at(errors.New("it is on no switch: make its segment one"), "port %s", which.port)
	}
	l.switching.Lock()
	defer l.switching.Unlock()
	if segment := l.switchOf(which); segment.Kind == topo.KindOVS {
		return at(l.setOVS(segment, which, change), "port %s: the switch's end", which.port)
	}
	l.mu.Lock()
	before := l.switchPort(which)
	l.mu.Unlock()
	chosen := before
	change(&chosen)
	now, vlans := l.now(), l.vlansWith(which, before)
	err := giveSwitch(now.fabric, now.site.outer[which], before, chosen)
	if err == nil {
		err = l.changeVLANs(which, vlans, l.vlansWith(which, chosen))
	}
	if err == nil && chosen.Locked {
		err = areLocked(now.fabric, now.site.outer[which])
	}
	if err != nil {
		return at(err, "port %s: the switch's end", which.port)
	}
	l.noteSwitch(which, chosen)
	return nil
}

// noteSwitch notes what was chosen of a switch's end last.
func (l *Lab) noteSwitch(which spot, chosen topo.SwitchPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.switched == nil {
		l.switched = map[spot]topo.SwitchPort{}
	}
	l.switched[which] = chosen
}

// giveSwitches gives the ends of switches what was chosen of them in the declaration: when
// the network works, since what makes sure of that could not pass them.
func (s *site) giveSwitches(ports []spot) error {
	var locked []int
	for _, which := range ports {
		chosen := declaredEnd(s.plan, which)
		if !chosen.IsBridgeOnly() { // its VLANs it has
			continue
		}
		if err := giveSwitch(s.fabric, s.outer[which], topo.SwitchPort{}, chosen); err != nil {
			return at(err, "%s: port %s: the switch's end", title(s.owners[which.node]), which.port)
		}
		if chosen.Locked {
			locked = append(locked, s.outer[which])
		}
	}
	return areLocked(s.fabric, locked...)
}

// giveSwitch tells the kernel. What was learned at the port, when it was another, is
// forgotten.
func giveSwitch(fabric *ground, index int, before, chosen topo.SwitchPort) error {
	for _, mac := range before.Static {
		if slices.Contains(chosen.Static, mac) {
			continue
		}
		b := new(batch)
		b.static(unix.RTM_DELNEIGH, 0, index, mac, describe("delete static entry %s", net.HardwareAddr(mac[:])))
		if err := fabric.rtnl.do(b); err != nil && !errors.Is(err, unix.ENOENT) { // another port has it by now
			return err
		}
	}
	b := new(batch)
	b.setBridgePort(index, chosen, describe("set it"))
	for _, mac := range chosen.Static {
		b.static(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, mac, describe("add static entry %s", net.HardwareAddr(mac[:])))
	}
	return fabric.rtnl.do(b)
}

// areLocked says whether those of the fabric's interfaces are: an older kernel passes over
// what it does not know.
func areLocked(fabric *ground, indexes ...int) error {
	if len(indexes) == 0 {
		return nil
	}
	return withState(context.Background(), fabric, func(s *state) error {
		links, err := s.in.Links()
		if whole(err) != nil {
			return at(err, "look at the switches")
		}
		for _, link := range links {
			if slices.Contains(indexes, link.Index) && !link.Locked {
				return missing{"a locked port of a switch needs Linux 5.18"}
			}
		}
		return nil
	})
}

// setBridgePort sets what a bridge's port does, and has the bridge forget what it learned
// there.
func (b *batch) setBridgePort(index int, s topo.SwitchPort, what func() string) {
	header := ifinfo(index, 0, 0)
	header[0] = unix.AF_BRIDGE
	b.begin(unix.RTM_SETLINK, 0, header)
	port := b.nest(unix.IFLA_PROTINFO | unix.NLA_F_NESTED)
	for kind, on := range map[uint16]bool{
		unix.IFLA_BRPORT_ISOLATED: s.Isolated, unix.IFLA_BRPORT_LOCKED: s.Locked,
		unix.IFLA_BRPORT_LEARNING: !s.NoLearning, unix.IFLA_BRPORT_UNICAST_FLOOD: !s.NoFlood,
	} {
		b.attr(kind, []byte{map[bool]byte{true: 1}[on]})
	}
	b.attr(unix.IFLA_BRPORT_FLUSH, nil)
	port()
	b.end(what)
}

// static is a request about an entry that a bridge keeps (bridge-fdb(8): master static sticky).
func (b *batch) static(kind, flags uint16, index int, mac [6]byte, what func() string) {
	const sticky = 1 << 6 // NTF_STICKY, linux/neighbour.h
	header := make([]byte, unix.SizeofNdMsg)
	header[0], header[10] = unix.AF_BRIDGE, unix.NTF_MASTER|sticky
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint16(header[8:], unix.NUD_NOARP)
	b.begin(kind, flags, header)
	b.attr(unix.NDA_LLADDR, mac[:])
	b.end(what)
}

// SwitchPort is a switch's end of a node's port, as the kernel has it.
type SwitchPort struct {
	Node, Port string // whose it is, and the interface there
	Link       inspect.Link
	// Entries are the MACs that the switch has behind it.
	Entries []inspect.Learnt
	// Qdiscs are those by which it sends to the node, but for what comes from some ports, which
	// have others.
	Qdiscs []inspect.Qdisc
	From   []SwitchPair
}

// SwitchPair is what a switch sends to a node of what came from one other port (topo.Segment.ImpairBetween).
type SwitchPair struct {
	Node, Port string // that it came from
	Qdiscs     []inspect.Qdisc
}

// queues puts the queueing disciplines of a switch's end where they belong.
func (p *SwitchPort) queues(of []inspect.Qdisc, as queueing) {
	own := (&inspect.State{Qdiscs: of}).QdiscsOf(p.Link.Index)
	p.Qdiscs = own
	if len(as.from) > 0 {
		p.Qdiscs = lane(0).of(own)
	}
	for _, from := range as.from {
		p.From = append(p.From, SwitchPair{from.node, from.port, as.lane(from.spot).of(own)})
	}
}

// Switch reads the ports of a segment's switch. Of one of which nothing was ever chosen it
// reads nothing, and there are none: it hands on all, as it hears of who is where. Of an Open
// vSwitch it reads the VLANs alone.
func (l *Lab) Switch(segment string) (ports []SwitchPort, err error) {
	l = l.here()
	planned, known := l.Plan().Segment(segment)
	switch {
	case l.exists() != nil:
		return nil, at(l.exists(), "switch %s", segment)
	case !known:
		return nil, at(fmt.Errorf("the lab has no such segment; it has: %s", strings.Join(l.segmentNames(), ", ")), "switch %s", segment)
	case l.now().fabric == nil || l.attached:
		return nil, nil
	case planned.Kind == topo.KindOVS:
		ports, err = l.switchOVS(planned)
		return ports, at(err, "switch %s", segment)
	case !l.chosenOf(planned):
		return nil, nil
	}
	var links []inspect.Link
	var learnt []inspect.Learnt
	var qdiscs []inspect.Qdisc
	err = withState(context.Background(), l.now().fabric, func(s *state) (err error) {
		if links, err = s.in.Links(); whole(err) == nil {
			learnt, err = s.in.Learnt()
		}
		if whole(err) == nil {
			qdiscs, err = s.in.Qdiscs()
		}
		return whole(err)
	})
	if err != nil {
		return nil, at(err, "switch %s", segment)
	}
	now := l.now().site
	for _, ref := range planned.Ports {
		where := spot{ref.Node, ref.Port}
		index := now.outer[where]
		has := slices.IndexFunc(links, func(link inspect.Link) bool { return link.Index == index })
		if has < 0 {
			continue
		}
		port := SwitchPort{Node: ref.Node, Port: ref.Port, Link: links[has]}
		for _, entry := range learnt {
			if entry.Index == index {
				port.Entries = append(port.Entries, entry)
			}
		}
		port.queues(qdiscs, now.queueing(where, receiving, now.portOf(where)))
		ports = append(ports, port)
	}
	return ports, nil
}

// bridges says whether what two ports send each other comes there, whatever a switch has
// heard of them.
func (l *Lab) bridges(a, b spot) bool {
	if l.now().site.loses(a, b) || l.now().site.loses(b, a) || l.parts(a.node, b.node) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one, other := l.switchPort(a), l.switchPort(b)
	open := func(s topo.SwitchPort) bool { return !s.Locked && !s.NoFlood }
	return open(one) && open(other) && (!one.Isolated || !other.Isolated)
}

// chosenOf says whether anything was chosen of a switch's ports, in the declaration or
// since.
func (l *Lab) chosenOf(segment *topo.SegmentPlan) bool {
	if segment.Kind != topo.KindSwitch {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(segment.Ports, func(ref topo.PortRef) bool {
		_, changed := l.switched[spot{ref.Node, ref.Port}]
		port := l.now().site.portOf(spot{ref.Node, ref.Port})
		return changed || !port.Receives.IsZero() || len(port.ReceivesFrom) > 0 || !l.switchPort(spot{ref.Node, ref.Port}).IsPlain()
	})
}
