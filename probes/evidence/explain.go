package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Explain names what stopped a probe: the first of these that accounts for it. A
// rule's verdict; who refused it; and where a packet was last seen, what that
// node's kernel would do with it. What nothing accounts for is Unknown, with
// what is known. A probe that was answered has no cause: the zero Cause.
func Explain(o Observation) Cause {
	c := o.explain()
	if state := o.States[c.Node]; c.Kind == Unknown && state != nil && state.Legacy {
		c.Detail += "; it has rules of iptables-legacy, which are not traced"
	}
	return c
}

func (o Observation) explain() Cause {
	if o.Heard.Answered {
		return Cause{}
	}
	if o.Lost != "" {
		return Cause{Kind: Unknown, Detail: o.Lost}
	}
	if s, ok := o.dropped(); ok {
		if o.strayed(s) {
			return o.at(s, s.Role, Unknown, "a rule dropped it there, where it was not to come by")
		}
		c := Cause{Kind: Drop, Node: s.Node, Leg: s.Role, Rule: s.Rule, Router: s.Node != o.Flow.From && s.Node != o.Flow.To}
		if s.Rule.Rejects {
			c.Kind = Reject
		}
		return c
	}
	if c, ok := o.unsettledSource(); ok {
		return c
	}
	if c, ok := o.refused(); ok {
		return c
	}
	for _, leg := range []Role{Answer, Request} {
		if s, ok := o.lastSeen(leg); ok {
			return o.stopped(s, leg)
		}
	}
	return o.unsent()
}

// dropped is the last packet that a rule ended the way of: the answer's, if it
// got that far.
func (o Observation) dropped() (Sighting, bool) {
	for _, role := range []Role{Answer, Request} {
		for _, s := range slices.Backward(o.Timeline) {
			if s.Role == role && s.Dropped() {
				return s, true
			}
		}
	}
	return Sighting{}, false
}

// strayed says whether a packet came to a node that it was not for, and that hands
// nothing on: a copy for one that looks into packets, or one with a wrong MAC. What
// is dropped there would have gone nowhere from there.
func (o Observation) strayed(s Sighting) bool {
	state := o.States[s.Node]
	if state == nil || s.Index == 0 || s.Node == o.Flow.From || s.Node == o.Flow.To {
		return false
	}
	if _, own := state.has(s.Destination); own {
		return false
	}
	in := state.link(s.Index)
	_, off := state.forwardsNot(in, s.Destination)
	return off && in.Master == 0 && in.Kind != "bridge"
}

// lastSeen is where a leg's packet was last seen. What a switch flooded to those
// that it was not for does not count.
func (o Observation) lastSeen(leg Role) (Sighting, bool) {
	for _, s := range slices.Backward(o.Timeline) {
		if s.Role == leg && !s.Foreign {
			return s, true
		}
	}
	return Sighting{}, false
}

// unsettledSource explains a request that left with a link-local address, since the
// asker has no other that is settled.
func (o Observation) unsettledSource() (Cause, bool) {
	s, ok := o.Timeline.first(Request, Out)
	state := o.States[o.Flow.From]
	if !ok || state == nil || !s.Source.IsLinkLocalUnicast() || s.Destination.IsLinkLocalUnicast() {
		return Cause{}, false
	}
	addr, ok := state.tentative(s.Source.Is6())
	if !ok {
		return Cause{}, false
	}
	return o.at(s, Request, Tentative, fmt.Sprintf("%s is tentative, and %s was the source", addr, s.Source)), true
}

// refused explains a reset or an ICMP error by who it was first seen leaving.
func (o Observation) refused() (Cause, bool) {
	by := o.Timeline.Refuser()
	if by == "" {
		return Cause{}, false
	}
	request, ok := o.lastSeen(Request)
	if !ok && by == o.Flow.From {
		return Cause{}, false // its own kernel says that it could not send it
	}
	if !ok || request.Node != by {
		return Cause{Kind: Unknown, Node: by, Leg: Request, Detail: "it refused what it was not seen to get"}, true
	}
	state := o.States[by]
	if state == nil {
		return Cause{Kind: Unknown, Node: by, Leg: Request, Detail: "its state was not read"}, true
	}
	if _, own := state.has(request.Destination); own && o.nobodyListens(state) {
		return o.at(request, Request, NoListener, fmt.Sprintf("nobody has port %d", o.Flow.Port)), true
	}
	c := o.stopped(request, Request)
	if c.Kind == Unknown && (c.Detail == noReason || c.Detail == noSilence) {
		c.Detail = "it refused the probe, and no rule of it was seen to"
	}
	return c, true
}

func (o Observation) nobodyListens(s *State) bool {
	switch o.Flow.Protocol {
	case TCP:
		return !s.listens(o.Flow.Port)
	case UDP:
		return !s.UDP[o.Flow.Port]
	}
	return false
}

// at is a cause where a packet was seen.
func (o Observation) at(s Sighting, leg Role, kind Kind, detail string) Cause {
	return Cause{Kind: kind, Node: s.Node, Interface: s.Interface, Leg: leg, Detail: detail}
}

// Where a node's state tells nothing.
const (
	noReason  = "nothing there accounts for its end"
	noSilence = "nothing there accounts for the silence"
)

// stopped explains a packet that was last seen at a place.
func (o Observation) stopped(s Sighting, leg Role) Cause {
	state := o.States[s.Node]
	if state == nil {
		return o.at(s, leg, Unknown, "the node's state was not read")
	}
	if s.Direction == Out {
		return o.onTheLink(s, leg, state)
	}
	if s.Index == 0 { // a rule saw what the node itself sends
		own := Cause{Node: s.Node, Leg: leg}
		if o.sendFailure(&own, state, s.onward()) {
			return own
		}
		return o.at(s, leg, Unknown, noReason)
	}
	if detail, ok := state.martian(s); ok {
		return o.at(s, leg, Martian, detail)
	}
	if addr, own := state.has(s.Destination); own {
		return o.atTheEnd(s, leg, state, addr)
	}
	return o.inTheMiddle(s, leg, state)
}

// atTheEnd explains a packet that reached the node that has its destination.
func (o Observation) atTheEnd(s Sighting, leg Role, state *State, addr AddrState) Cause {
	if addr.Tentative {
		return o.at(s, leg, Tentative, fmt.Sprintf("%s is tentative", addr.Prefix.Addr()))
	}
	if detail, ok := state.filtersSource(s); ok {
		return o.at(s, leg, RPFilter, detail)
	}
	if leg == Answer {
		return o.at(s, leg, Unknown, "it came back to the asker, who did not hear it")
	}
	if kind, detail := o.unserved(state); kind != "" {
		return o.at(s, leg, kind, detail)
	}
	// The node took the request; so its answer did not get out.
	answer := Cause{Node: s.Node, Leg: Answer}
	if o.sendFailure(&answer, state, Question{From: s.Destination, To: s.Source}) {
		return answer
	}
	return o.at(s, leg, Unknown, noSilence)
}

// unserved is why a node that got the request has nothing to say to it.
func (o Observation) unserved(state *State) (Kind, string) {
	switch {
	case o.Flow.Protocol == ICMP:
		key := "net/ipv4/icmp_echo_ignore_all"
		if o.Flow.Addr.Is6() {
			key = "net/ipv6/icmp/echo_ignore_all"
		}
		if state.Sysctls[key] == "1" {
			return Ignored, strings.ReplaceAll(key, "/", ".") + "=1"
		}
	case o.nobodyListens(state):
		return NoListener, fmt.Sprintf("nobody has port %d", o.Flow.Port)
	case o.Flow.Protocol == TCP:
		for _, l := range state.Listeners {
			if l.Port == o.Flow.Port && l.Waiting > l.Most {
				return Backlog, fmt.Sprintf("%d connections wait for the listener at port %d, which has room for %d", l.Waiting, l.Port, l.Most)
			}
		}
	}
	return "", ""
}

// onTheLink explains a packet that was handed to a driver and not seen at the
// other end.
func (o Observation) onTheLink(s Sighting, leg Role, state *State) Cause {
	next := state.Lookups[Question{To: s.Destination}].next(s.Destination) // the zero Lookup has no router
	peers := o.Peers[End{s.Node, s.Interface}]
	for _, peer := range peers {
		if len(peers) > 1 && !o.has(peer, next) {
			continue
		}
		there := o.States[peer.Node]
		if there == nil {
			continue
		}
		link := there.named(peer.Interface)
		c := Cause{Node: peer.Node, Interface: peer.Interface, Leg: leg}
		switch {
		case !link.Up:
			c.Kind, c.Detail = LinkDown, "the link is down"
		case !link.Carrier:
			c.Kind, c.Detail = NoCarrier, "the link has no carrier"
		case link.MTU < s.Length:
			c.Kind, c.Detail = MTU, fmt.Sprintf("%d bytes, and the link there takes %d", s.Length, link.MTU)
		case o.seenForeign(peer, leg):
			c.Kind, c.Detail = WrongMAC, "it was addressed to another MAC"
		default:
			continue
		}
		return c
	}
	if link := state.link(s.Index); !link.Carrier {
		return o.at(s, leg, NoCarrier, "the link has no carrier")
	}
	if len(peers) > 1 && !slices.ContainsFunc(peers, func(p End) bool { return o.has(p, next) }) {
		return o.at(s, leg, NoAddress, fmt.Sprintf("nobody on the link has %s", next))
	}
	return o.at(s, leg, Unknown, "it left there, and was seen nowhere else")
}

// has says whether a planned port has an address.
func (o Observation) has(at End, addr netip.Addr) bool {
	return slices.ContainsFunc(o.Ports[at.Node], func(port PortState) bool {
		_, has := port.address(addr)
		return has && port.End == at
	})
}

func (o Observation) seenForeign(at End, leg Role) bool {
	return slices.ContainsFunc(o.Timeline, func(s Sighting) bool {
		return s.Foreign && s.Role == leg && s.Node == at.Node && s.Interface == at.Interface
	})
}
