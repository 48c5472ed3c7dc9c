package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/nstest/nstest/topo"
)

// neighbour is an entry that a test gave an interface.
type neighbour struct {
	at   spot
	addr netip.Addr
}

// AddNeighbour gives the node an entry for an address on a segment, or at an interface: the
// MAC that it is at, which stays and is never asked for (ip neigh replace ... nud permanent).
func (n *Node) AddNeighbour(on string, addr netip.Addr, mac net.HardwareAddr) error {
	return n.alter(func(n *Node) error { return at(n.addNeighbour(on, addr, mac), "add neighbour %s", addr) }, func(*topo.NodePlan) {})
}

// DelNeighbour has the node forget what it knows of an address, which it asks for again when
// it sends there. Where it knows nothing, that is an error.
func (n *Node) DelNeighbour(on string, addr netip.Addr) error {
	return n.alter(func(n *Node) error { return at(n.delNeighbour(on, addr), "delete neighbour %s", addr) }, func(*topo.NodePlan) {})
}

func (n *Node) addNeighbour(on string, addr netip.Addr, mac net.HardwareAddr) error {
	where, err := n.neighbourOn(on, addr)
	if err != nil {
		return err
	}
	if len(mac) != 6 {
		return fmt.Errorf("MAC %q: give six bytes", mac.String())
	}
	b := new(batch)
	b.addEntry(n.lab.now().site.indexes[where], addr, mac, describe("port %s", where.port))
	if err := n.ground.rtnl.do(b); err != nil {
		return err
	}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if n.lab.neighbours == nil {
		n.lab.neighbours = map[neighbour]bool{}
	}
	n.lab.neighbours[neighbour{where, addr}] = true
	return nil
}

func (n *Node) delNeighbour(on string, addr netip.Addr) error {
	where, err := n.neighbourOn(on, addr)
	if err != nil {
		return err
	}
	b := new(batch)
	b.forgetNeighbour(n.lab.now().site.indexes[where], addr, describe("port %s", where.port))
	if err := n.ground.rtnl.do(b); err != nil {
		return err
	}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	delete(n.lab.neighbours, neighbour{where, addr})
	return nil
}

func (n *Node) neighbourOn(on string, addr netip.Addr) (spot, error) {
	switch {
	case !addr.IsValid() || addr.Is4In6() || addr.IsMulticast() || addr.IsUnspecified():
		return spot{}, errors.New("it is no neighbour's address: choose one that is")
	case on == loopback:
		return spot{}, errors.New("the loopback has no neighbours: choose a segment")
	}
	return n.spotOn(on)
}
