package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
)

// Target is whom to ask: a *harness.Node, a node's addresses on one segment
// (node.On("dmz")), or a netip.Addr. A node means its address nearest to the
// asker, of every family that both have. Anything else is an error.
type Target = fmt.Stringer

// addresses are those of a target that from can ask, with the target's name.
func addresses(from *harness.Node, to Target) (addrs []netip.Addr, name string, err error) {
	switch target := to.(type) {
	case nil:
		return nil, "", fmt.Errorf("no target: pass a *harness.Node, node.On(segment) or a netip.Addr")
	case *harness.Node:
		if target == nil {
			return nil, "", fmt.Errorf("the target is a nil node")
		}
		addrs, name = ofNode(from, target), target.Name()
	case harness.Endpoint:
		addrs, name = inFamily(from, target.Addrs()), target.String()
	case netip.Addr:
		if !target.IsValid() {
			return nil, "", fmt.Errorf("the target is the zero address")
		}
		return []netip.Addr{target.Unmap()}, target.String(), nil
	default:
		return nil, "", fmt.Errorf("a target of type %T: pass a *harness.Node, node.On(segment) or a netip.Addr", to)
	}
	if len(addrs) == 0 {
		return nil, "", fmt.Errorf("%s and %s have no family of addresses in common", from, name)
	}
	return addrs, name, nil
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

// inFamily keeps the addresses of families that from has. An attached node's
// are not known: it may have both.
func inFamily(from *harness.Node, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool { return !has(from, addr.Is6()) })
}

func has(from *harness.Node, v6 bool) bool {
	own := from.Addrs()
	return len(own) == 0 || slices.ContainsFunc(own, func(a netip.Addr) bool { return a.Is6() == v6 })
}

// targetNode is the name of the node that is to answer; "" for an address.
func targetNode(t Target) string {
	switch t := t.(type) {
	case *harness.Node:
		return t.Name()
	case harness.Endpoint:
		return t.Node.Name()
	}
	return ""
}
