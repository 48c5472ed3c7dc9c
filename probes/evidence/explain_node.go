package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// inTheMiddle explains a packet that came in at a node that does not have its
// destination, and so was to hand it on.
func (o Observation) inTheMiddle(s Sighting, leg Role, state *State) Cause {
	c := Cause{Node: s.Node, Interface: s.Interface, Leg: leg, Router: true}
	in := state.link(s.Index)
	if in.Master != 0 && state.link(in.Master).Kind == "bridge" {
		return o.notBridged(c, in, state, s.Destination)
	}
	for _, port := range o.Ports[s.Node] {
		if prefix, ok := port.address(s.Destination); ok { // it was to end there, whatever it forwards
			c.lacks(port, prefix)
			return c
		}
	}
	if s.TTL == 1 {
		c.Kind, c.Detail = TTL, "its time to live was over"
		return c
	}
	if key, off := state.forwardsNot(in, s.Destination); off {
		c.Kind, c.Detail, c.sysctl = NoForward, strings.ReplaceAll(key, "/", ".")+"=0", key
		return c
	}
	if detail, ok := state.filtersSource(s); ok {
		c.Kind, c.Detail = RPFilter, detail
		return c
	}
	l, asked := state.Lookups[s.onward()]
	if !asked {
		c.Kind, c.Detail = Unknown, "its route was not looked up"
		return c
	}
	if l.Errno != 0 {
		o.noWay(&c, state, l.Errno, s.Destination)
		return c
	}
	if o.outFailure(&c, state, l, s.Destination, s.Length) {
		return c
	}
	c.Kind, c.Detail = Unknown, noReason
	return c
}

// notBridged explains a frame that a bridge's port got.
func (o Observation) notBridged(c Cause, in LinkState, state *State, to netip.Addr) Cause {
	if o.isolates(state, in, to) {
		c.Kind, c.Detail = PortIsolated, fmt.Sprintf("port %s is isolated, as is the one it was for", in.Name)
		return c
	}
	c.Kind, c.Detail = Unknown, "the bridge did not hand it on"
	if bridge := state.link(in.Master); !bridge.Up {
		c.Kind, c.Interface, c.Router, c.Detail = LinkDown, bridge.Name, false, "the bridge is down"
		return c
	}
	for _, l := range state.Links {
		leads := func(peer End) bool { return o.has(peer, to) }
		if l.Master == in.Master && l.Index != in.Index && !l.Up && slices.ContainsFunc(o.Peers[End{c.Node, l.Name}], leads) {
			c.Kind, c.Interface, c.Router, c.Detail = LinkDown, l.Name, false, "the link is down"
		}
	}
	return c
}

// isolates says whether a bridge's port is isolated, and with it the one that an
// address is behind; where that is not known, every other.
func (o Observation) isolates(state *State, in LinkState, to netip.Addr) bool {
	if !in.Isolated {
		return false
	}
	var others, leading []LinkState
	for _, l := range state.Links {
		if l.Master != in.Master || l.Index == in.Index {
			continue
		}
		others = append(others, l)
		if slices.ContainsFunc(o.Peers[End{state.Node, l.Name}], func(peer End) bool { return o.has(peer, to) }) {
			leading = append(leading, l)
		}
	}
	if len(leading) > 0 {
		others = leading
	}
	return len(others) > 0 && !slices.ContainsFunc(others, func(l LinkState) bool { return !l.Isolated })
}

// sendFailure explains why a node cannot send a packet of its own.
func (o Observation) sendFailure(c *Cause, state *State, q Question) bool {
	l, asked := state.Lookups[q]
	if !asked {
		return false
	}
	if l.Errno != 0 {
		o.noWay(c, state, l.Errno, q.To)
		return c.Kind != Unknown
	}
	return o.outFailure(c, state, l, q.To, 0)
}

// outFailure explains what a node that has a route cannot do with it.
func (o Observation) outFailure(c *Cause, state *State, l Lookup, to netip.Addr, length int) bool {
	out, next := state.link(l.Out), l.next(to)
	switch {
	case out.Index == 0:
		return false // it came or went in between
	case !out.Up:
		c.Kind, c.Interface, c.Detail = LinkDown, out.Name, "the link is down"
	case !out.Carrier && o.peerIsDown(c, out.Name):
	case !out.Carrier:
		c.Kind, c.Interface, c.Detail = NoCarrier, out.Name, "the link has no carrier"
	case length > out.MTU:
		c.Kind, c.Interface, c.Detail = MTU, out.Name, fmt.Sprintf("%d bytes, and the link takes %d", length, out.MTU)
	case state.unresolved(l.Out, next) && o.ownerIsMute(c, out.Name, next):
	case state.unresolved(l.Out, next):
		c.Kind, c.Interface, c.Detail = Neighbour, out.Name, fmt.Sprintf("nobody answers for %s", next)
	case state.asksFor(l.Out, next) && !state.Legacy && o.reachedNoHost(c):
		c.Kind, c.Interface, c.Detail = Neighbour, out.Name, fmt.Sprintf("nobody answered for %s in time", next)
	default:
		return false
	}
	return true
}

// reachedNoHost says whether the cause's node said so, of the packet that the cause
// is about: it gave up on a neighbour who may have answered since. A rule or route
// that says the same comes before.
func (o Observation) reachedNoHost(c *Cause) bool {
	about := map[Role]Role{Request: Refusal, Answer: Undone}[c.Leg]
	return slices.ContainsFunc(o.Timeline, func(s Sighting) bool {
		return s.NoHost && s.Role == about && s.Node == c.Node && s.Direction == Out
	})
}

// peerIsDown moves the cause to the other end of a link, when that is down.
func (o Observation) peerIsDown(c *Cause, name string) bool {
	for _, peer := range o.Peers[End{c.Node, name}] {
		if there := o.States[peer.Node]; there != nil && !there.named(peer.Interface).Up {
			c.Kind, c.Node, c.Interface, c.Router, c.Detail = LinkDown, peer.Node, peer.Interface, false, "the link is down"
			return true
		}
	}
	return false
}

// ownerIsMute moves the cause to who keeps an address from being answered for on a
// link: its owner, when it is not settled there or was lost, or a bridge's port
// that lets no question through.
func (o Observation) ownerIsMute(c *Cause, name string, addr netip.Addr) bool {
	for _, peer := range o.Peers[End{c.Node, name}] {
		there := o.States[peer.Node]
		if there == nil {
			continue
		}
		found := Cause{Node: peer.Node, Interface: peer.Interface, Leg: c.Leg}
		state, own := there.has(addr)
		link := there.named(peer.Interface)
		switch {
		case o.has(peer, addr) && link.Index != 0 && !link.Up:
			found.Kind, found.Detail = LinkDown, "the link is down"
		case own && state.Tentative:
			found.Kind, found.Detail = Tentative, fmt.Sprintf("%s is tentative", addr)
		case !own && o.has(peer, addr):
			found.Kind, found.Detail = NoAddress, fmt.Sprintf("it does not have %s", addr)
		case o.isolates(there, link, addr):
			found = o.notBridged(found, link, there, addr)
		case own:
			found = *c
			found.Kind, found.Interface, found.Detail = Neighbour, name, fmt.Sprintf("%s has %s, and does not answer for it", peer.Node, addr)
		default:
			continue
		}
		*c = found
		return true
	}
	return false
}

// unsent explains a probe of which nothing was seen: the asker's own kernel kept
// it.
func (o Observation) unsent() Cause {
	c := Cause{Kind: Unknown, Node: o.Flow.From, Leg: Request, Detail: "nothing was seen to leave"}
	state := o.States[o.Flow.From]
	if state == nil {
		c.Detail = "the asker's state was not read"
		return c
	}
	if o.Heard.Errno != 0 {
		c.Detail = fmt.Sprintf("nothing was seen to leave; the kernel says %q", o.Heard.Errno.Error())
	}
	if o.Heard.Errno == unix.EMSGSIZE {
		c.Kind, c.Detail = MTU, "the packet is larger than the link takes"
		return c
	}
	if addr, ok := state.tentative(o.Flow.Addr.Is6()); ok {
		c.Kind, c.Detail = Tentative, fmt.Sprintf("%s is tentative", addr)
		return c
	}
	if unknown := c; !o.sendFailure(&c, state, Question{To: o.Flow.Addr}) {
		return unknown
	}
	return c
}

// tentative is an address of a family that is not settled.
func (s *State) tentative(v6 bool) (netip.Addr, bool) {
	for _, a := range s.Addrs {
		if addr := a.Prefix.Addr(); a.Tentative && addr.Is6() == v6 && !addr.IsLinkLocalUnicast() {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// forwardsNot says by which sysctl a node does not forward what came in there.
func (s *State) forwardsNot(in LinkState, to netip.Addr) (string, bool) {
	key, all := "net/ipv4/conf/"+in.Name+"/forwarding", "net/ipv4/ip_forward"
	if to.Is6() { // where a link's own says but whether it is a router's (ip-sysctl.rst)
		key, all = "net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/forwarding"
	}
	if s.Sysctls[key] != "0" || to.Is6() && s.Sysctls["net/ipv6/conf/"+in.Name+"/force_forwarding"] == "1" {
		return "", false
	}
	if s.Sysctls[all] == "0" {
		key = all
	}
	return key, true
}

// filtersSource says whether reverse path filtering (RFC 3704) keeps the packet
// out: the greater of the link's setting and that of all counts.
func (s *State) filtersSource(at Sighting) (string, bool) {
	if at.Source.Is6() {
		return "", false
	}
	in := s.link(at.Index)
	mode := max(s.Sysctls["net/ipv4/conf/all/rp_filter"], s.Sysctls["net/ipv4/conf/"+in.Name+"/rp_filter"])
	back, asked := s.Lookups[Question{To: at.Source}]
	if !asked || mode == "" || mode == "0" {
		return "", false
	}
	switch {
	case back.Errno != 0:
		return fmt.Sprintf("rp_filter=%s, and no route back to %s", mode, at.Source), true
	case mode == "1" && back.Out != at.Index:
		return fmt.Sprintf("rp_filter=1, and the way back to %s is another", at.Source), true
	}
	return "", false
}

// martian says whether the packet's source is one that may not come from outside:
// a loopback address, or the node's own. Both may be allowed (route_localnet,
// accept_local): the kernel's lookup tells, but not for IPv6's loopback address.
func (s *State) martian(at Sighting) (string, bool) {
	if s.link(at.Index).Name == "lo" {
		return "", false
	}
	refused := s.Lookups[at.onward()].Errno == unix.EINVAL
	_, own := s.has(at.Source)
	switch {
	case at.Source.IsLoopback() && (refused || at.Source.Is6()):
		return fmt.Sprintf("%s is a loopback address", at.Source), true
	case own && refused && at.Source.Is4():
		return fmt.Sprintf("%s is the node's own address", at.Source), true
	}
	return "", false
}

// named is the interface of a name.
func (s *State) named(name string) LinkState {
	at := slices.IndexFunc(s.Links, func(l LinkState) bool { return l.Name == name })
	if at < 0 {
		return LinkState{}
	}
	return s.Links[at]
}
