package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var noAddress = row{
	kind: evidence.NoAddress, verb: "not delivered", policy: never, needs: needPackets | needAddrs | needLookups | needPlan,
	mend: "give the target that address, or ask another",
	at: map[stage]func(spot, *evidence.Cause) bool{
		handed: func(p spot, c *evidence.Cause) bool { // it was to end there, whatever the node forwards
			for _, port := range p.Ports[p.state.Name] {
				if prefix, ok := port.address(p.to); ok {
					return lacks(c, port, prefix)
				}
			}
			return false
		},
		sourced:   lacksSource,
		unsent:    lacksAsker,
		routed:    addressTookRoute,
		resolving: ownerLacksAddress,
		onLink: func(p spot, c *evidence.Cause) bool {
			peers, next := p.Peers[End{p.seen.Node, p.seen.Interface}], p.next()
			c.Detail = fmt.Sprintf("nobody on the link has %s", next)
			has := func(at peer) bool { _, own := at.state.Addr(next); return own }
			return len(peers) > 1 && !slices.ContainsFunc(peers, func(at End) bool { return p.Planned(at, next) }) && !slices.ContainsFunc(p.peers(), has)
		},
	},
	confirmed: confirmation{
		otherwise: "the node's addresses are read",
		ends:      []string{"Ip.InAddrErrors", "Ip6.InAddrErrors", "IpExt.InNoRoutes", "Ip6.InNoRoutes"},
	},
	unliftable: "an address that is missing is no policy",
}

// lacksSource is for a request that left with a link-local address, since the asker
// lost the one that it is meant to have.
func lacksSource(p spot, c *evidence.Cause) bool {
	source := p.seen.Source
	if !source.IsLinkLocalUnicast() || p.seen.Destination.IsLinkLocalUnicast() {
		return false
	}
	for _, port := range p.Ports[p.state.Name] {
		for _, prefix := range port.Addrs {
			if _, has := p.state.Addr(prefix.Addr()); !has && prefix.Addr().Is6() == source.Is6() && !prefix.Addr().IsLinkLocalUnicast() {
				lacks(c, port, prefix)
				c.Detail += fmt.Sprintf(", and %s was the source", source)
				return true
			}
		}
	}
	return false
}

// lacksAsker is for a request from an address that the asker had, as a connection has, and has
// no more.
func lacksAsker(p spot, c *evidence.Cause) bool {
	if !p.Flow.Source.IsValid() || p.Flow.Source.IsUnspecified() || p.state.Owns(p.Flow.Source) {
		return false
	}
	c.Detail = fmt.Sprintf("it does not have %s any more, which it asks from", p.Flow.Source)
	return true
}

// lacks names an address that a port is meant to have, and the node has not.
func lacks(c *evidence.Cause, port PortState, prefix netip.Prefix) bool {
	moves(c, End{c.Node, port.Interface})
	c.Detail = fmt.Sprintf("it does not have %s", prefix)
	return true
}

// addressTookRoute tells a route that was lost with an address from one that a node
// is not to have, and from one for the rest that took what was meant for it.
func addressTookRoute(p spot, c *evidence.Cause) bool {
	for _, port := range p.Ports[p.state.Name] {
		for _, prefix := range port.Addrs {
			_, has := p.state.Addr(prefix.Addr())
			if !has && prefix.Masked().Contains(p.to) && (p.way.Errno == unix.ENETUNREACH || p.fell(port, prefix)) {
				return lacks(c, port, prefix)
			}
		}
	}
	return false
}

// fell says whether the route that comes with an address of a port would have come before
// the one that ended the lookup.
func (p spot) fell(port PortState, address netip.Prefix) bool {
	link, table := p.state.LinkNamed(port.Interface), unix.RT_TABLE_MAIN
	if vrf := p.state.Link(link.Master); vrf.Kind == "vrf" {
		table = vrf.Table
	}
	now, known := p.decided()
	if !known || now.Route == nil || now.Errno() == 0 || now.Errno() != p.way.Errno {
		return false
	}
	then, known := p.decided(inspect.Route{Table: table, Type: unix.RTN_UNICAST, To: address.Masked(), Index: link.Index})
	return known && then.Route != nil && then.Errno() == 0
}

// ownerLacksAddress is why nobody answers for an address that somebody was to have.
func ownerLacksAddress(p spot, c *evidence.Cause) bool {
	for _, peer := range p.peers() {
		if _, own := peer.state.Addr(p.next()); p.unresolved() && !own && p.Planned(peer.End, p.next()) {
			moves(c, peer.End)
			c.Detail = fmt.Sprintf("it does not have %s", p.next())
			return true
		}
	}
	return false
}
