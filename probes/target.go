package probes

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/nstest/nstest/harness"
)

// Target is whom to ask: a *harness.Node, a node's addresses on one segment
// (node.On("dmz")), or a netip.Addr. A node means its address nearest to the
// asker, of every family that both have. Anything else is an error.
type Target = fmt.Stringer

// nameOf is a target's name; the error is for what is none.
func nameOf(to Target) (string, error) {
	switch target := to.(type) {
	case nil:
		return "", fmt.Errorf("no target: pass a *harness.Node, node.On(segment) or a netip.Addr")
	case *harness.Node:
		if isNone(target) {
			return "", fmt.Errorf("the target is a nil node")
		}
	case harness.Endpoint:
		if isNone(target.Node) {
			return "", fmt.Errorf("the target is the zero Endpoint: use node.On(segment)")
		}
	case netip.Addr:
		switch {
		case !target.IsValid():
			return "", fmt.Errorf("the target is the zero address")
		case target.Unmap().IsUnspecified():
			return "", fmt.Errorf("the target is %s, which is nobody's address", target)
		case target.Unmap().IsMulticast():
			return "", fmt.Errorf("the target is %s, a multicast address: ask its members one by one", target)
		}
	default:
		return "", fmt.Errorf("a target of type %T: pass a *harness.Node, node.On(segment) or a netip.Addr", to)
	}
	return to.String(), nil
}

// errNoFamily is of two that cannot ask each other anything.
var errNoFamily = errors.New("no family of addresses in common")

// addresses are those of a target that from can ask, with the target's name.
func addresses(from *harness.Node, to Target) (addrs []netip.Addr, name string, err error) {
	if name, err = nameOf(to); err != nil {
		return nil, "", err
	}
	if err := sameNetwork(from, nodeOf(to)); err != nil {
		return nil, "", err
	}
	switch target := to.(type) {
	case netip.Addr:
		return []netip.Addr{target.Unmap()}, name, nil
	case *harness.Node:
		addrs = ofNode(from, target)
	case harness.Endpoint:
		addrs = inFamily(from, target.Addrs())
	}
	if len(addrs) == 0 {
		return nil, "", fmt.Errorf("%s and %s have %w", from, name, errNoFamily)
	}
	return addrs, name, nil
}

// sameNetwork is an error for two nodes of two labs, whatever their names and
// addresses are. An attached node is wherever its namespace is.
func sameNetwork(from, to *harness.Node) error {
	if to == nil || to.Lab() == from.Lab() || to.Attached() || from.Attached() {
		return nil
	}
	return fmt.Errorf("%s and %s are in two labs, %q and %q, which nothing connects", from, to, from.Lab().Name(), to.Lab().Name())
}

// ofNode are a node's addresses nearest to from, IPv4 first.
func ofNode(from, to *harness.Node) []netip.Addr {
	if from.Lab() != to.Lab() {
		return firstOfEach(inFamily(from, to.Addrs()))
	}
	var addrs []netip.Addr
	for _, v6 := range []bool{false, true} {
		if !has(from, v6) {
			continue
		}
		if addr, ok := from.Lab().Plan().Nearest(from.Name(), to.Name(), v6); ok {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// firstOfEach keeps the first address of each family.
func firstOfEach(addrs []netip.Addr) []netip.Addr {
	var kept []netip.Addr
	for _, addr := range addrs {
		if !slices.ContainsFunc(kept, func(a netip.Addr) bool { return a.Is6() == addr.Is6() }) {
			kept = append(kept, addr)
		}
	}
	return kept
}

// inFamily keeps the addresses of families that from has. Those of a node
// that was attached alone are not known: it may have both.
func inFamily(from *harness.Node, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool { return !has(from, addr.Is6()) })
}

func has(from *harness.Node, v6 bool) bool {
	return from.Alone() || slices.ContainsFunc(from.Addrs(), func(a netip.Addr) bool { return a.Is6() == v6 })
}

// scopeOf is the index of the interface that an address's zone names in the
// asker's namespace: an IPv6 link-local address means nothing without one.
func scopeOf(from *harness.Node, addr netip.Addr) (scope uint32, err error) {
	zone := addr.Zone()
	if zone == "" {
		if addr.Is6() && addr.IsLinkLocalUnicast() {
			return 0, fmt.Errorf("a link-local address needs an interface of the asker, as in %s%%eth0", addr)
		}
		return 0, nil
	}
	if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(index), nil
	}
	err = from.Do(func() error {
		link, err := net.InterfaceByName(zone)
		if err != nil {
			return fmt.Errorf("node %s has no interface %s", from, zone)
		}
		scope = uint32(link.Index)
		return nil
	})
	return scope, err
}

// nodeOf is the node that is to answer; nil for an address.
func nodeOf(t Target) *harness.Node {
	switch t := t.(type) {
	case *harness.Node:
		return t
	case harness.Endpoint:
		return t.Node
	}
	return nil
}
