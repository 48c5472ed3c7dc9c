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
	return n.alterAddrs(
		func(n *Node) (spot, error) {
			where, err := n.addAddr(on, addr)
			return where, at(err, "add address %s", addr)
		},
		func(addrs []netip.Prefix) []netip.Prefix { return append(addrs, addr) })
}

// DelAddr takes an address of the node away, and that one alone, from where AddAddr puts it
// or where the plan did. With the last one of a family the kernel takes the interface's
// routes of that family away.
func (n *Node) DelAddr(on string, addr netip.Prefix) error {
	return n.alterAddrs(
		func(n *Node) (spot, error) {
			where, err := n.delAddr(on, addr)
			return where, at(err, "delete address %s", addr)
		},
		func(addrs []netip.Prefix) []netip.Prefix {
			return slices.DeleteFunc(addrs, func(has netip.Prefix) bool { return has == addr })
		})
}

// alterAddrs does something to the addresses of an interface, and has the plan follow: at
// that interface, by its index, and never at another that comes in its place.
func (n *Node) alterAddrs(do func(*Node) (spot, error), change func([]netip.Prefix) []netip.Prefix) error {
	index := 0
	return n.alter(
		func(n *Node) error {
			where, err := do(n)
			if err == nil && index == 0 { // else it is a twin, which has the same
				index = n.lab.now().site.indexAt(where)
			}
			return err
		},
		func(p *topo.NodePlan) {
			if index == loIndex {
				p.Loopback = change(p.Loopback)
				return
			}
			d := byIndex(p, index)
			if d == nil {
				return
			}
			d.Addrs = change(d.Addrs)
			if port, is := p.Port(d.Name); is {
				port.Addrs = change(port.Addrs)
			}
		})
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

func (n *Node) addAddr(on string, addr netip.Prefix) (spot, error) {
	where, err := n.checkAddr(on, addr)
	if err != nil {
		return where, err
	}
	s := n.lab.now().site
	index := s.indexAt(where)
	b := new(batch)
	b.addAddr(index, addr, describe("port %s", where.port))
	if err := n.ground.rtnl.do(b); err != nil || where.port == loopback {
		return where, err
	}
	if err := n.ground.usable(index, addr.Addr()); err != nil {
		return where, at(err, "port %s", where.port)
	}
	return where, n.lab.announced(s, where, addr.Addr())
}

func (n *Node) delAddr(on string, addr netip.Prefix) (spot, error) {
	where, err := n.checkAddr(on, addr)
	if err != nil {
		return where, err
	}
	s := n.lab.now().site
	has := s.device(where).Addrs
	if where.port == loopback {
		has = n.planned().Loopback
	}
	b := new(batch)
	b.delAddr(s.indexAt(where), addr, describe("port %s", where.port))
	del := func() error { return n.ground.rtnl.do(b) }
	if slices.ContainsFunc(has, func(other netip.Prefix) bool {
		return other != addr && other.Addr().Is4() && other.Masked() == addr.Masked()
	}) {
		return where, n.promoting(where.port, del)
	}
	return where, del()
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
