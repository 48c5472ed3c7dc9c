package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Plug puts a port of a switch into a network namespace that somebody else made: an
// interface that is called as the switch's other ports are, up, with the addresses given.
// It is all that is changed there; routes are for whoever the namespace belongs to. The
// port goes with the lab. What comes back is the namespace, attached, with that port as
// its plan: it asks the lab's nodes, and is asked.
func (l *Lab) Plug(tb TB, segment string, into Existing, addrs ...netip.Prefix) *Node {
	tb.Helper()
	node, err := l.here().plug(segment, into, addrs)
	if err != nil {
		tb.Fatalf("%v", at(err, "plug %s into switch %s", into.Name, segment))
		return nil
	}
	node.lab.tb = tb
	tb.Cleanup(node.lab.Down)
	return node
}

func (l *Lab) plug(segment string, into Existing, addrs []netip.Prefix) (*Node, error) {
	l.changing.Lock() // for an index in the fabric
	defer l.changing.Unlock()
	if err := l.exists(); err != nil {
		return nil, err
	}
	if err := checkExisting(l.Name(), []Existing{into}); err != nil {
		return nil, err
	}
	planned, known := l.now().plan.Segment(segment)
	switch {
	case l.attached:
		return nil, errors.New("the lab was attached, and has no switch of the harness's")
	case l.now().byName[into.Name] != nil:
		return nil, fmt.Errorf("the lab has a node %s", into.Name)
	case !known:
		return nil, fmt.Errorf("the lab has no such segment; it has: %s", strings.Join(l.segmentNames(), ", "))
	case planned.Kind == topo.KindOVS:
		return nil, errors.New("it is an Open vSwitch, to which no port can be added while the lab is up: make it a switch, or declare the node")
	case planned.Kind != topo.KindSwitch:
		return nil, errors.New("it is a wire, which has its two ports: make it a switch")
	}
	port := topo.PortPlan{Segment: segment, Name: segment, MAC: anyMAC(), MTU: planned.MTU, Addrs: slices.Clone(addrs)}
	if len(planned.Ports) > 0 {
		port.Name = planned.Ports[0].Port
	}
	g, err := into.hold()
	if err != nil {
		return nil, err
	}
	if err := l.makePort(g, planned, port); err != nil {
		g.close()
		return nil, err
	}
	alone := topo.SegmentPlan{Name: segment, Kind: topo.KindSwitch, Prefixes: planned.Prefixes, MTU: planned.MTU, Ports: []topo.PortRef{{Node: into.Name, Port: port.Name}}}
	plan := topo.Found(l.Name(), []topo.SegmentPlan{alone}, []topo.NodePlan{{Name: into.Name, Ports: []topo.PortPlan{port}}})
	of := &layout{plan: plan, byName: map[string]*Node{}}
	lab := newLab(of)
	lab.attached, lab.traced = true, map[string]bool{into.Name: into.Traced}
	node := newNode(lab, &plan.Nodes[0], g)
	of.nodes, of.byName[into.Name] = []*Node{node}, node
	upLabs.Store(lab, true)
	return node, nil
}

func (l *Lab) segmentNames() (names []string) {
	for _, s := range l.now().plan.Segments {
		names = append(names, s.Name)
	}
	return names
}

// makePort makes the pair with one message, and gives the inner end what it is to have.
func (l *Lab) makePort(g *ground, segment *topo.SegmentPlan, port topo.PortPlan) error {
	var bridge int
	if err := once(l.now().fabric.enter, func() (err error) {
		bridge, err = indexOf(segment.Bridge)
		return err
	}); err != nil {
		return err
	}
	// In the fabric nobody else has the name of the namespace's number.
	outer := fmt.Sprintf("plug%d", g.inode%100_000_000_000)
	b := new(batch)
	far := l.now().site.fabricNext
	l.now().site.fabricNext++
	b.addVeth(end{name: outer, index: far, mtu: port.MTU, master: bridge}, end{name: port.Name, mac: port.MAC, mtu: port.MTU, fd: g.fd}, describe("make port %s", port.Name))
	if err := l.now().fabric.rtnl.do(b); err != nil {
		return err
	}
	var inner int
	if err := once(g.enter, func() (err error) {
		inner, err = indexOf(port.Name)
		return err
	}); err != nil {
		return err
	}
	b = new(batch)
	for _, prefix := range port.Addrs {
		b.addAddr(inner, prefix, describe("port %s: set address %s", port.Name, prefix))
	}
	b.setLink(inner, true, describe("port %s: set up", port.Name))
	b.getLink(inner, describe("port %s: look at it", port.Name))
	if err := g.rtnl.do(b); err != nil {
		return err
	}
	b = new(batch)
	b.getLink(far, describe("look at the switch's end"))
	if err := l.now().fabric.rtnl.do(b); err != nil {
		return err
	}
	return answered(l.plugQuestions(g, segment, port, inner))
}

// plugQuestions are what the port and the first other one ask each other, until a first
// packet passes: see site.ready.
func (l *Lab) plugQuestions(g *ground, segment *topo.SegmentPlan, port topo.PortPlan, index int) (all []question) {
	v6 := slices.ContainsFunc(port.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
	peer := l.plainly(segment)
	if peer < 0 {
		return nil
	}
	own, other := spot{"", port.Name}, spot{segment.Ports[peer].Node, segment.Ports[peer].Port}
	back := question{segment: segment.Name, asker: own, at: other, ground: g, index: index, mac: port.MAC}
	var asked []netip.Addr
	if v6 {
		asked = append(asked, linkLocal(port.MAC))
	}
	for _, prefix := range port.Addrs {
		if addr := prefix.Addr(); addr.Is6() {
			asked = append(asked, addr)
		} else if !back.source.IsValid() {
			back.source = addr
		}
		if prefix.Addr().Is4() && !carrierBarrier() {
			asked = append(asked, prefix.Addr())
		}
	}
	for _, target := range l.now().site.asked(other) {
		if back.target = target; target.Is6() && v6 || target.Is4() && back.source.IsValid() {
			all = append(all, back)
		}
	}
	for _, target := range asked {
		if q := l.now().site.question(segment.Name, other, own, target); target.Is6() || q.source.IsValid() {
			all = append(all, q)
		}
	}
	return all
}

// indexOf is the index of an interface of the calling thread's namespace.
func indexOf(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, at(err, "find interface %s", name)
	}
	return int(request.Uint32()), nil
}

// anyMAC is one by chance, that nobody was given (IEEE 802: locally administered, of one
// host).
func anyMAC() (mac [6]byte) {
	binary.BigEndian.PutUint32(mac[2:], rand.Uint32())
	mac[0], mac[1] = 0x0a, byte(rand.Uint32())
	return mac
}
