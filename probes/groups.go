package probes

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Who is on a link with the target may ask all on it at once, by a broadcast, or what is a group's
// that the target is in: every node, or it alone. A service that listens at all addresses reads it.
var (
	everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919
	allHosts  = netip.AddrFrom4([4]byte{224, 0, 0, 1})       // RFC 1112
	allNodes  = netip.MustParseAddr("ff02::1")               // RFC 4291
)

// groupPairs are those of the links that the asker and the target are both on, and those that
// routers pass on. They do not decide.
func groupPairs(from *harness.Node, to Target) (pairs []pair, err error) {
	node := nodeOf(to)
	if node == nil || node.Lab() != from.Lab() || node == from || from.Attached() {
		return nil, nil
	}
	if pairs, err = routedPairs(from, to); err != nil {
		return nil, err
	}
	links := map[string][]string{} // the asker's devices, by the target's on the same link
	add := func(device string, addr netip.Addr) {
		p := pair{device: device, to: addr, aside: true, group: true}
		if !slices.Contains(pairs, p) {
			pairs = append(pairs, p)
		}
	}
	plan := node.Lab().Plan()
	its, _ := plan.Node(node.Name())
	own, _ := plan.Node(from.Name())
	at, only := to.(harness.Endpoint)
	for _, theirs := range its.Devices {
		for _, mine := range own.Devices {
			if mine.Segment == "" || plan.Link(mine.Segment) != plan.Link(theirs.Segment) || only && at.Segment != theirs.Segment {
				continue
			}
			links[theirs.Name] = append(links[theirs.Name], mine.Name)
			for _, prefix := range theirs.Addrs {
				if slices.ContainsFunc(mine.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() == prefix.Addr().Is6() }) {
					for _, addr := range heardByAll(prefix, mine.Name) {
						add(mine.Name, addr)
					}
				}
			}
		}
	}
	if len(links) == 0 {
		return pairs, nil
	}
	joined, err := joinedBy(from, node)
	for _, g := range joined {
		for _, mine := range links[g.Interface] {
			switch family := g.Addr.Is6(); {
			case !slices.ContainsFunc(pairs, func(p pair) bool { return p.device == mine && p.to.Is6() == family }):
			case g.Addr.Is4() || !g.Addr.IsMulticast() && !g.Addr.IsLinkLocalUnicast():
				add(mine, g.Addr)
			case !g.Addr.IsInterfaceLocalMulticast():
				add(mine, g.Addr.WithZone(mine))
			}
		}
	}
	return pairs, err
}

// heardByAll are the addresses at which each node on a device's link hears what is sent there, of
// the family of a prefix.
func heardByAll(prefix netip.Prefix, device string) []netip.Addr {
	if prefix.Addr().Is6() {
		return []netip.Addr{allNodes.WithZone(device)}
	}
	return []netip.Addr{broadcastOf(prefix), everybody, allHosts}
}

// joinedBy are the groups and anycast addresses that a target is in; without the anycast
// addresses that the asker has as well: what it sends to those it gets itself.
func joinedBy(from, target *harness.Node) (joined []inspect.Group, err error) {
	var ours []inspect.Group
	for node, groups := range map[*harness.Node]*[]inspect.Group{from: &ours, target: &joined} {
		err := look(node, func(inspect.Namespace) (err error) {
			*groups, err = inspect.Groups()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(joined, func(g inspect.Group) bool {
		return !g.Addr.IsMulticast() && slices.ContainsFunc(ours, func(o inspect.Group) bool { return o.Addr == g.Addr })
	}), nil
}

// broadcastOf is the last address of an IPv4 prefix; of one without it (RFC 3021) that of all.
func broadcastOf(prefix netip.Prefix) netip.Addr {
	const bits, least = 32, 2
	if prefix.Bits() > bits-least {
		return everybody
	}
	return rules.Prefixed(prefix, "").To
}

// toGroups says whether anybody takes such a probe that is sent to a group: a service a
// datagram, and of IPv6 each kernel an echo request (icmp_echo_ignore_broadcasts is 1).
func (w wanted) toGroups(family int) bool {
	switch w.kind.protocol {
	case wire.UDP, wire.UDPLite:
		return true
	case wire.ICMP:
		return family == 6
	}
	return false
}
