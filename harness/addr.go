package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// AddAddr gives the node a further address with its prefix length, on a segment that it is
// on, at an interface of that name, or at lo. It returns when the address answers. The plan,
// and what probes ask of who has an address, has it from then on, and so has a twin. Others
// get no routes to it.
func (n *Node) AddAddr(on string, addr netip.Prefix) error {
	return n.alter(
		func(n *Node) error { return at(n.addAddr(on, addr), "add address %s", addr) },
		func(p *topo.NodePlan) {
			eachAddrs(p, on, func(addrs *[]netip.Prefix) { *addrs = append(*addrs, addr) })
		})
}

// DelAddr takes an address of the node away, and that one alone, from where AddAddr puts it
// or where the plan did. With the last one of a family the kernel takes the interface's
// routes of that family away.
func (n *Node) DelAddr(on string, addr netip.Prefix) error {
	return n.alter(
		func(n *Node) error { return at(n.delAddr(on, addr), "delete address %s", addr) },
		func(p *topo.NodePlan) {
			eachAddrs(p, on, func(addrs *[]netip.Prefix) {
				*addrs = slices.DeleteFunc(*addrs, func(has netip.Prefix) bool { return has == addr })
			})
		})
}

// eachAddrs calls f for what a node's plan has of the addresses of an interface: as a
// port's and as a device's.
func eachAddrs(p *topo.NodePlan, on string, f func(*[]netip.Prefix)) {
	if on == loopback {
		f(&p.Loopback)
		return
	}
	name := on
	for _, port := range p.Ports {
		if port.Segment == on {
			name = port.Name
			break
		}
	}
	d, _ := p.Device(name)
	for d != nil && d.Master != "" { // the bridge or the bond has them
		master, has := p.Device(d.Master)
		if !has || master.Segment == "" {
			break
		}
		d = master
	}
	if d == nil {
		return
	}
	f(&d.Addrs)
	if port, is := p.Port(d.Name); is {
		f(&port.Addrs)
	}
}

var errNoIPv6 = errors.New("the lab was built without IPv6: give something in its declaration an IPv6 prefix")

// checkAddr says what an interface cannot have.
func (n *Node) checkAddr(on string, addr netip.Prefix) (spot, error) {
	switch a := addr.Addr(); {
	case !addr.IsValid():
		return spot{}, errors.New("it is none: give an address with its prefix length, like 192.0.2.1/24")
	case a.Is4In6() || a.IsUnspecified() || a.IsMulticast():
		return spot{}, errors.New("no interface can have it: choose another")
	case a.Is6() && (!n.lab.now().site.ipv6 || noIPv6()):
		return spot{}, errNoIPv6
	}
	return n.spotOn(on)
}

func (n *Node) addAddr(on string, addr netip.Prefix) error {
	where, err := n.checkAddr(on, addr)
	if err != nil {
		return err
	}
	s := n.lab.now().site
	index := s.indexAt(where)
	b := new(batch)
	b.addAddr(index, addr, describe("port %s", where.port))
	if err := n.ground.rtnl.do(b); err != nil {
		return err
	}
	if where.port == loopback {
		return nil
	}
	if err := n.ground.usable(index, addr.Addr()); err != nil {
		return at(err, "port %s", where.port)
	}
	return n.lab.announced(s, where, addr.Addr())
}

func (n *Node) delAddr(on string, addr netip.Prefix) error {
	where, err := n.checkAddr(on, addr)
	if err != nil {
		return err
	}
	s := n.lab.now().site
	var others []netip.Prefix
	eachAddrs(n.planned(), on, func(addrs *[]netip.Prefix) {
		for _, other := range *addrs {
			if other != addr && other.Addr().Is4() && other.Masked() == addr.Masked() {
				others = append(others, other)
			}
		}
	})
	b := new(batch)
	b.delAddr(s.indexAt(where), addr, describe("port %s", where.port))
	if len(others) == 0 {
		return n.ground.rtnl.do(b)
	}
	return n.promoting(where.port, func() error { return n.ground.rtnl.do(b) })
}

// promoting keeps the kernel from taking those of a subnet's addresses away that came after
// the one that f does (promote_secondaries).
func (n *Node) promoting(dev string, f func() error) error {
	key := fmt.Sprintf("net/ipv4/conf/%s/promote_secondaries", dev)
	return n.Do(func() (err error) {
		was, err := readSysctl(key)
		if err != nil {
			return err
		}
		if err := writeSysctl(key, "1"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, writeSysctl(key, was)) }()
		return f()
	})
}

func (b *batch) delAddr(index int, prefix netip.Prefix, what func() string) {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1] = family(prefix.Addr()), byte(prefix.Bits())
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	b.begin(unix.RTM_DELADDR, 0, header)
	b.addr(unix.IFA_LOCAL, prefix.Addr())
	b.addr(unix.IFA_ADDRESS, prefix.Addr())
	b.end(what)
}
