package verdict

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var linkDown = row{
	kind: evidence.LinkDown, verb: "lost", policy: never, needs: needPackets | needLinks | needLookups | needPlan,
	mend: "bring the interface up",
	at: map[stage]func(spot, *evidence.Cause) bool{
		bridged:   bridgeIsDown,
		routed:    routeIsDown,
		leaving:   linkIsDown,
		resolving: ownerIsDown,
		onLink:    peerIsDown,
	},
	confirmed:  confirmation{otherwise: "the link's own state is read"},
	unliftable: "a link is no policy",
}

const isDown = "the link is down"

// bridgeIsDown is for a frame that a bridge's port got: the bridge, or the port that
// its destination is behind.
func bridgeIsDown(p spot, c *evidence.Cause) bool {
	in := p.in()
	if bridge := p.state.Link(in.Master); !bridge.Up {
		moves(c, End{c.Node, bridge.Name})
		c.Detail = "the bridge is down"
		return true
	}
	for _, l := range p.ahead(p.state, in, p.to) {
		if !l.Up {
			moves(c, End{c.Node, l.Name})
			c.Detail = isDown
			return true
		}
	}
	return false
}

// routeIsDown comes before a route that is missing: the kernel took the routes with
// the link.
func routeIsDown(p spot, c *evidence.Cause) bool {
	link := p.state.Link(p.asked.Out) // that the socket is bound to, or a link-local address is on
	if link.Index != 0 && !link.Up {
		c.Interface, c.Detail = link.Name, isDown
		return true
	}
	for _, port := range p.Ports[p.state.Name] {
		leads := func(prefix netip.Prefix) bool { return prefix.Masked().Contains(p.to) }
		if !slices.ContainsFunc(port.Addrs, leads) && !slices.ContainsFunc(port.Routes, leads) {
			continue
		}
		if link := p.state.LinkNamed(port.Interface); link.Index != 0 && !link.Up {
			moves(c, End{c.Node, port.Interface})
			c.Detail = "the link is down, and with it the route"
			return true
		}
	}
	return false
}

// linkIsDown is the link that the route leads over, or its other end.
func linkIsDown(p spot, c *evidence.Cause) bool {
	link := p.link()
	if !link.Up {
		c.Interface, c.Detail = link.Name, isDown
		return true
	}
	for _, peer := range p.peers() {
		if !link.Carrier && !peer.link.Up {
			moves(c, peer.End)
			c.Detail = isDown
			return true
		}
	}
	return false
}

// ownerIsDown is the end of who is to answer for an address.
func ownerIsDown(p spot, c *evidence.Cause) bool {
	if !p.unresolved() {
		return false
	}
	for _, peer := range p.peers() {
		planned := p.Planned(peer.End, p.next())
		switch {
		case planned && peer.bondIsDown(c):
			return true
		case planned && peer.link.Index != 0 && !peer.link.Up:
			moves(c, peer.End)
			c.Detail = isDown
			return true
		case p.bridgeOfPeerIsDown(peer, c):
			return true
		}
	}
	return false
}

// bridgeOfPeerIsDown is the bridge that hands the question on, or the port of it that the
// owner of the address is behind.
func (p spot) bridgeOfPeerIsDown(peer peer, c *evidence.Cause) bool {
	bridge := peer.state.Link(peer.link.Master)
	if bridge.Kind != "bridge" {
		return false
	}
	if !bridge.Up {
		moves(c, End{peer.Node, bridge.Name})
		c.Detail = "the bridge is down"
		return true
	}
	for _, l := range peer.state.Links {
		if l.Master == bridge.Index && !l.Up && p.leads(End{peer.Node, l.Name}, p.next()) {
			moves(c, End{peer.Node, l.Name})
			c.Detail = isDown
			return true
		}
	}
	return false
}

// bonded says whether the peer is a port of a bond, which has others.
func (p peer) bonded() bool { return p.state.Link(p.link.Master).Kind == "bond" }

// bondIsDown is a bond without a port that is up.
func (p peer) bondIsDown(c *evidence.Cause) bool {
	if p.link.Kind != "bond" || slices.ContainsFunc(p.state.Links, func(l inspect.Link) bool { return l.Master == p.link.Index && l.Up }) {
		return false
	}
	moves(c, p.End)
	c.Detail = "no port of the bond is up"
	return true
}

// peerIsDown is the end that a frame was sent to.
func peerIsDown(p spot, c *evidence.Cause) bool {
	for _, peer := range p.receivers() {
		if peer.bondIsDown(c) {
			return true
		}
		if !peer.link.Up && !peer.bonded() {
			moves(c, peer.End)
			c.Detail = isDown
			return true
		}
	}
	return false
}
