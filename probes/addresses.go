package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// pair is an address to be asked, and the asker's own that asks.
type pair struct {
	source netip.Addr // bound; the zero Addr leaves it to the kernel
	device string     // bound; "" leaves it to the kernel
	to     netip.Addr
	// aside is true where another pair decides: this is not the kernel's source, or not
	// the target's nearest address.
	aside bool
	// group is true of an address by which all on a link are meant.
	group bool
}

// everyPair are all that a node could ask a target at: each address that the target has
// now from each that the asker has, as far as both are of one family, and link-local
// ones of one link, and by each of its devices. First come those that decide: the addresses that Ask would ask, from
// whatever source the kernel takes. The loopback's (127/8, ::1) are left out.
func everyPair(from *harness.Node, to Target, leads source, at meetings) (pairs []pair, name string, err error) {
	nearest, name, err := addresses(from, to)
	if err != nil {
		return nil, "", err
	}
	by := dividers(sync.OnceValues(func() ([]rules.Divider, error) { return dividersOf(at) }))
	targets, err := liveTargets(to, nearest, by)
	if err != nil {
		return nil, "", err
	}
	if node := nodeOf(to); node != nil && node.Lab() == from.Lab() {
		further, err := translatedAddrs(from, to, at, by)
		if err != nil {
			return nil, "", err
		}
		targets = append(targets, further...)
	}
	a, err := outlook(from, leads, nearest, targets, by)
	if err != nil {
		return nil, "", err
	}
	for _, addr := range nearest {
		pairs = append(pairs, pair{to: addr})
	}
	for _, target := range targets {
		for _, source := range a.own {
			p, ok := between(from, to, source, target)
			if !ok || a.chosen[p.to] == source.addr || a.has(target.addr) {
				continue // nobody asks another by an address of its own
			}
			pairs = append(pairs, p)
		}
	}
	bound, err := a.likely(a.bound)
	if err != nil {
		return nil, "", err
	}
	groups, err := groupPairs(from, to)
	return slices.Concat(pairs, bound, groups), name, err
}

// asker is what a node could ask targets from.
type asker struct {
	binding
	own    []liveAddr
	local  []netip.Addr              // of the targets those that it takes for its own as parts of a prefix
	chosen map[netip.Addr]netip.Addr // the sources that its kernel takes, of the nearest; none where it has no way there
	bound  []pair
}

// outlook looks at a node.
func outlook(from *harness.Node, leads source, nearest []netip.Addr, targets []liveAddr, by dividers) (*asker, error) {
	a := &asker{binding: binding{from: from, leads: leads}, chosen: map[netip.Addr]netip.Addr{}}
	err := read(from, func(ns inspect.Namespace, links []inspect.Link) (err error) {
		var local []inspect.Route
		if a.own, local, err = liveIn(ns, links); err != nil {
			return err
		}
		if err := a.parts(ns, links, local, targets, by); err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(targets), func(l liveAddr) bool { return a.has(l.addr) })
		a.bound, err = a.boundPairs(ns, links, a.own, others)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = from.Do(func() (err error) {
		for _, addr := range nearest {
			if a.chosen[addr], err = sourceFor(addr, leads); err != nil {
				return fmt.Errorf("node %s: %w", from, err)
			}
		}
		return nil
	})
	return a, err
}

// between is the pair of two addresses; false where they have nothing to do with each
// other.
func between(from *harness.Node, to Target, source, target liveAddr) (pair, bool) {
	p := pair{source: source.addr, to: target.addr, aside: true}
	near := target.addr.IsLinkLocalUnicast()
	switch {
	case source.addr.Is6() != target.addr.Is6():
		return pair{}, false
	case !source.addr.Is6() || !near && !source.addr.IsLinkLocalUnicast():
		return p, true
	case target.addr.Zone() != "": // the test chose the link
		return p, !source.addr.IsLinkLocalUnicast() || source.link == target.addr.Zone()
	}
	link, shared := sharedLink(from, to, target.link)
	if !shared || source.addr.IsLinkLocalUnicast() && source.link != link {
		return pair{}, false
	}
	if near {
		p.to = target.addr.WithZone(link)
	}
	if source.addr.IsLinkLocalUnicast() {
		p.source = source.addr.WithZone(link)
	}
	return p, true
}

// sharedLink is the asker's interface on the segment that an interface of the target is on.
func sharedLink(from *harness.Node, to Target, link string) (string, bool) {
	node := nodeOf(to)
	if node == nil || node.Lab() != from.Lab() {
		return "", false
	}
	plan := node.Lab().Plan()
	its, _ := plan.Node(node.Name())
	own, _ := plan.Node(from.Name())
	for _, theirs := range its.Devices {
		for _, mine := range own.Devices {
			if theirs.Name == link && mine.Master == "" && mine.Segment != "" && plan.Link(mine.Segment) == plan.Link(theirs.Segment) {
				return mine.Name, true
			}
		}
	}
	return "", false
}

// liveAddr is an address that a node has at this moment, at an interface.
type liveAddr struct {
	addr netip.Addr // with a zone only where the test named one
	link string
}

// liveTargets are the addresses that a target has now: all of a node's, those of one
// segment, or the one that is named.
func liveTargets(to Target, nearest []netip.Addr, by dividers) ([]liveAddr, error) {
	node := nodeOf(to)
	if node == nil {
		return []liveAddr{{addr: nearest[0]}}, nil
	}
	at, ofSegment := to.(harness.Endpoint)
	var live []liveAddr
	err := read(node, func(ns inspect.Namespace, links []inspect.Link) (err error) {
		var local []inspect.Route
		if live, local, err = liveIn(ns, links); err != nil {
			return err
		}
		parts, err := partsIn(ns, node, links, local, by)
		live = append(live, parts...)
		return err
	})
	if ofSegment {
		name := at.Node.Port(at.Segment).Name()
		live = slices.DeleteFunc(live, func(l liveAddr) bool { return l.link != name })
	}
	for _, addr := range nearest { // it may have lost one that it is to have
		if !slices.ContainsFunc(live, func(l liveAddr) bool { return l.addr == addr }) {
			live = append(live, liveAddr{addr: addr})
		}
	}
	return live, err
}

// liveAddrs are the addresses that a node has now, but those of its loopback (127/8, ::1):
// what its kernel takes for its own, by an address or by a route of type local. A wider
// route stands for all of its addresses with one.
func liveAddrs(node *harness.Node) (live []liveAddr, err error) {
	err = look(node, func(ns inspect.Namespace) error {
		links, err := watch.LinksOf(node, ns)
		if err != nil {
			return err
		}
		live, _, err = liveIn(ns, links)
		return err
	})
	return live, err
}

// liveIn is liveAddrs of a namespace with these links, and the routes of type local that it
// comes from.
func liveIn(ns inspect.Namespace, links []inspect.Link) (live []liveAddr, local []inspect.Route, err error) {
	names := map[int]string{}
	for _, link := range links {
		names[link.Index] = link.Name
	}
	addrs, err := ns.Addrs()
	if err != nil {
		return nil, nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if !a.Prefix.Addr().IsLoopback() {
			live = append(live, liveAddr{a.Prefix.Addr(), names[a.Index]})
		}
	}
	if local, err = ns.Local(); err != nil {
		return nil, nil, fmt.Errorf("list routes of type local: %w", err)
	}
	for _, r := range local {
		addr := r.To.Addr()
		if !r.To.IsSingleIP() {
			addr = addr.Next()
		}
		known := func(l liveAddr) bool { return l.addr == addr || r.To.Contains(l.addr) && !r.To.IsSingleIP() }
		if !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !slices.ContainsFunc(live, known) {
			live = append(live, liveAddr{addr, names[r.Index]})
		}
	}
	return live, local, nil
}

// read reads a node's namespace, of which the interfaces are known, by what its lab keeps open:
// the thread is anywhere. It is for the few nodes that a check is about.
func read(node *harness.Node, f func(inspect.Namespace, []inspect.Link) error) error {
	ns, err := watch.NamespaceOf(node)
	if err != nil {
		return err
	}
	links, err := watch.LinksOf(node, ns)
	if err == nil {
		err = f(ns, links)
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	return nil
}

// kernelCounts are those of the calling thread's namespace.
func kernelCounts() (map[string]uint64, error) {
	counters, err := inspect.OpenKernelCounters()
	if err != nil {
		return nil, err
	}
	defer counters.Close()
	return counters.Read()
}

// look reads a node's namespace, on a thread that is there.
func look(node *harness.Node, f func(inspect.Namespace) error) error {
	if err := node.Do(func() error { return inspect.Here(f) }); err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	return nil
}

// discard is a port that a datagram socket may be connected to, which sends nothing: any would do.
const discard = 9 // RFC 863

// sourceFor is the source that the asker's kernel takes for an address. It connects a
// datagram socket, which sends nothing. The calling thread is in the
// asker's namespace.
func sourceFor(addr netip.Addr, leads source) (netip.Addr, error) {
	fd, err := leads.open(addr.Is6(), unix.SOCK_DGRAM, 0)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	a := asking{addr: addr.WithZone(""), probe: UDP(discard)}
	if err := unix.Connect(fd, a.sockaddr()); err != nil {
		return netip.Addr{}, nil
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrPortOf(own).Addr().Unmap(), nil
}
