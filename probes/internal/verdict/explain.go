package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
)

// Explain names what stopped a probe: the first of these that accounts for it. A
// rule's verdict; who refused it; and where a packet was last seen, what that
// node's kernel would do with it. What nothing accounts for is Unknown, with
// what is known. A probe that was answered has no cause: the zero Cause.
func Explain(o Observation) evidence.Cause {
	c := o.explain()
	if c.Kind != evidence.Unknown {
		return c
	}
	state := o.States[c.Node]
	if state != nil && state.Legacy {
		c.Detail += "; it has rules of iptables-legacy, which are not traced"
	}
	if o.Untraced[c.Node] {
		c.Detail += "; it has rules of nftables, which are not traced: attach it with Traced"
	}
	if state != nil && slices.ContainsFunc(state.XfrmPolicies, func(p inspect.XfrmPolicy) bool { return p.Encrypts }) {
		c.Detail += "; it has policies of xfrm that encrypt, which is not followed"
	}
	return c
}

func (o Observation) explain() evidence.Cause {
	if o.Heard.Answered {
		return evidence.Cause{}
	}
	if o.Lost != "" {
		return evidence.Cause{Kind: evidence.Unknown, Detail: o.Lost}
	}
	if s, ok := o.Dropped(); ok && !o.GoesOn() {
		return o.dropped(s)
	}
	if s, ok := o.dataDropped(); ok {
		c := o.dropped(s)
		c.Connected = c.Kind != evidence.Unknown
		return c
	}
	if c, ok := o.sourced(); ok {
		return c
	}
	if c, ok := o.resetDropped(); ok {
		return c
	}
	if c, ok := o.refused(); ok {
		return c
	}
	for _, leg := range []evidence.Role{evidence.Answer, evidence.Request} {
		if s, ok := o.LastSeen(leg); ok {
			return o.stopped(s, leg)
		}
	}
	return o.unsent()
}

// at is where a packet was seen, and unknown what is said of it when nothing accounts
// for its end there.
func (o Observation) at(s evidence.Sighting, leg evidence.Role) spot {
	return spot{Observation: o, seen: s, leg: leg, state: o.States[s.Node], to: s.Destination}
}

func (p spot) unknown(detail string) evidence.Cause {
	return evidence.Cause{Kind: evidence.Unknown, Node: p.seen.Node, Interface: p.seen.Interface, Leg: p.leg, Detail: detail}
}

// dropped explains a packet that a rule ended the way of.
func (o Observation) dropped(s evidence.Sighting) evidence.Cause {
	p := o.at(s, s.Role)
	if p.strayed() {
		return p.unknown("a rule dropped it there, off its way")
	}
	c := evidence.Cause{Node: s.Node, Leg: s.Role, Rule: s.Rule, Router: s.Node != o.Flow.From && s.Node != o.Flow.To}
	p.explain(&c, ruled)
	return c
}

// strayed says whether a packet came to a node that it was not for, and that hands
// nothing on: a copy for one that looks into packets, or one with a wrong MAC. What
// is dropped there would have gone nowhere from there. What is to come by there, as at a
// router that is not to forward, meets that node's rules.
func (p spot) strayed() bool {
	if slices.Contains(p.Way, p.seen.Node) || p.state == nil || p.seen.Index == 0 || p.seen.Node == p.Flow.From || p.seen.Node == p.Flow.To {
		return false
	}
	if p.state.Owns(p.to) {
		return false
	}
	_, off := p.forwardsNot()
	return off && p.in().Master == 0 && p.in().Kind != "bridge"
}

// sourced explains a request that left with a source that nobody can answer.
func (o Observation) sourced() (evidence.Cause, bool) {
	s, ok := o.Timeline.First(evidence.Request, evidence.Out)
	p := o.at(s, evidence.Request)
	if p.state = o.States[o.Flow.From]; !ok || p.state == nil {
		return evidence.Cause{}, false
	}
	c := p.unknown("")
	return c, p.explain(&c, sourced)
}

// Where a node's state tells nothing.
const (
	noReason  = "nothing there accounts for its end"
	noSilence = "nothing there accounts for the silence"
)

// stopped explains a packet that was last seen at a place.
func (o Observation) stopped(s evidence.Sighting, leg evidence.Role) evidence.Cause {
	p := o.at(s, leg)
	switch {
	case p.state == nil:
		return p.unknown("the node's state was not read")
	case s.Direction == evidence.Out:
		return p.onTheLink()
	case s.Index == 0: // a rule saw what the node itself sends
		c := evidence.Cause{Node: s.Node, Leg: leg}
		if p.sends(&c, onward(o.Flow, s)) {
			return c
		}
		return p.unknown(noReason)
	}
	if c := p.unknown(""); p.explain(&c, entered) {
		return c
	}
	if p.state.Owns(s.Destination) {
		return p.atTheEnd()
	}
	return p.onTheWay()
}

// atTheEnd explains a packet that reached the node that has its destination.
func (p spot) atTheEnd() evidence.Cause {
	c := p.unknown(noSilence)
	if p.explain(&c, delivered) {
		return c
	}
	if p.leg == evidence.Answer && p.seen.Node != p.Flow.From {
		return p.unknown("it is for that node, which did not ask")
	}
	if p.leg == evidence.Answer {
		return p.unknown("it came back to the asker, who did not hear it")
	}
	if p.explain(&c, accepted) {
		return c
	}
	// The node took the request; so its answer did not get out.
	answer := evidence.Cause{Node: p.seen.Node, Leg: evidence.Answer}
	p.leg = evidence.Answer
	asked := back(p.seen)
	asked.Out = p.vrf()
	if p.sends(&answer, asked) {
		return answer
	}
	p.leg = evidence.Request
	p.explain(&c, unanswered)
	return c
}

// onTheWay explains a packet that came in at a node that does not have its
// destination, and so was to hand it on.
func (p spot) onTheWay() evidence.Cause {
	c := p.unknown(noReason)
	c.Router = true
	if in := p.in(); in.Master != 0 && p.state.Link(in.Master).Kind == "bridge" {
		c.Detail = "the bridge did not hand it on"
		p.explain(&c, bridged)
		return c
	}
	if p.explain(&c, handed) {
		return c
	}
	var asked bool
	if p.asked = onward(p.Flow, p.seen); p.state.Owns(p.seen.Source) { // its rules gave it that after they had routed it
		p.asked = onward(p.Flow, p.AsCame(p.seen))
	}
	if p.way, asked = p.state.Lookups[p.asked]; !asked {
		c.Detail = "its route was not looked up"
		return c
	}
	p.length = p.seen.Length
	if !p.out(&c) && p.way.Errno != 0 {
		c.Detail = p.unroutable()
	}
	return c
}

// sends explains why a node cannot send a packet of its own. What is in doubt does not
// count.
func (p spot) sends(c *evidence.Cause, q inspect.Question) bool {
	var asked bool
	if p.way, asked = p.state.Lookups[q]; !asked {
		return false
	}
	p.to, p.asked = q.To, q
	return p.out(c) && c.Kind != evidence.Unknown
}

// onTheLink explains a packet that was handed to a driver and not seen at the
// other end.
func (p spot) onTheLink() evidence.Cause {
	p.way = p.onwards()
	c := p.unknown("it left there, and was seen nowhere else")
	p.explain(&c, onLink)
	return c
}

// onwards is the way of what was handed to a driver; the zero Lookup has no router.
func (p spot) onwards() inspect.Lookup {
	return p.state.Lookups[inspect.Question{To: p.to, Out: p.vrf()}]
}

// receivers are the ends that a frame on the link was for: where there are many, those
// that have the next one's address.
func (p spot) receivers() []peer {
	at := End{p.seen.Node, p.seen.Interface}
	peers := p.peersOf(at)
	if len(p.Peers[at]) > 1 {
		peers = slices.DeleteFunc(peers, func(peer peer) bool { return !p.has(peer, p.next()) })
	}
	return peers
}

// has says whether an address is meant to be at an end, or is.
func (o Observation) has(peer peer, addr netip.Addr) bool {
	own, is := peer.state.Addr(addr)
	return o.Planned(peer.End, addr) || is && own.Index == peer.link.Index
}

// unsent explains a probe of which nothing was seen: the asker's own kernel kept
// it.
func (o Observation) unsent() evidence.Cause {
	p := spot{Observation: o, leg: evidence.Request, state: o.States[o.Flow.From], to: o.Flow.Addr}
	c := evidence.Cause{Kind: evidence.Unknown, Node: o.Flow.From, Leg: evidence.Request, Detail: "nothing was seen to leave"}
	if p.state == nil {
		c.Detail = "the asker's state was not read"
		return c
	}
	if o.Heard.Errno != 0 {
		c.Detail = fmt.Sprintf("nothing was seen to leave; the kernel says %q", o.Heard.Errno.Error())
	}
	if p.explain(&c, unsent) {
		return c
	}
	if unknown := c; !p.sends(&c, FirstQuestion(o.Flow)) {
		return unknown
	}
	return c
}

// Dropped is the last packet that a rule ended the way of: the answer's, if it
// got that far. Of several copies it is the one that came nearest to where it was to go;
// one that ended off its way counts where no other did.
func (o Observation) Dropped() (evidence.Sighting, bool) {
	for _, role := range []evidence.Role{evidence.Answer, evidence.Request} {
		primary, known := o.Account.Primary(account.Role(role))
		if known && primary.End.Kind == account.Delivered {
			continue
		}
		var drops []evidence.Sighting
		for _, s := range slices.Backward(o.own(role)) {
			if s.Role == role && s.Dropped() {
				drops = append(drops, s)
			}
		}
		away := func(s evidence.Sighting) bool { return o.at(s, role).strayed() }
		isPrimary := func(s evidence.Sighting) bool { return s.Node == primary.End.Node }
		if known && primary.End.Kind == account.Dropped && slices.ContainsFunc(drops, func(s evidence.Sighting) bool { return isPrimary(s) && !away(s) }) {
			drops = slices.DeleteFunc(drops, func(s evidence.Sighting) bool { return !isPrimary(s) })
		}
		if at := slices.IndexFunc(drops, func(s evidence.Sighting) bool { return !away(s) }); at >= 0 {
			return drops[at], true
		}
		if len(drops) > 0 {
			return drops[0], true
		}
	}
	return evidence.Sighting{}, false
}

// dataDropped is the first packet that a rule ended the way of, of a connection that was
// made with who was asked: of what was sent over it, or came back. Copies do not count.
func (o Observation) dataDropped() (evidence.Sighting, bool) {
	if !o.Heard.Connected || !o.Account.Delivered() {
		return evidence.Sighting{}, false
	}
	for _, s := range o.Timeline {
		if (s.Role == evidence.Answer || s.Role == evidence.Request) && s.Dropped() && o.passes(s.Role, s.Node) {
			return s, true
		}
	}
	return evidence.Sighting{}, false
}

// passes says whether packets of a role were seen to come by a node on their way: they left
// it, or are for it. A packet's copy ends elsewhere.
func (o Observation) passes(role evidence.Role, node string) bool {
	return slices.ContainsFunc(o.Timeline, func(s evidence.Sighting) bool {
		return s.Role == role && s.Node == node && s.Direction == evidence.Out
	}) || role == evidence.Request && node == o.Flow.To || role == evidence.Answer && node == o.Flow.From
}

// cameTo is where a request was last seen to come in at a node.
func (o Observation) cameTo(node string) (evidence.Sighting, bool) {
	for _, s := range slices.Backward(o.own(evidence.Request)) {
		if s.Role == evidence.Request && s.Direction == evidence.In && s.Node == node && !s.Foreign {
			return s, true
		}
	}
	return evidence.Sighting{}, false
}

// LastSeen is where a leg's packet was last seen. What a switch flooded to those
// that it was not for does not count.
func (o Observation) LastSeen(leg evidence.Role) (evidence.Sighting, bool) {
	for _, s := range slices.Backward(o.own(leg)) {
		if s.Role == leg && !s.Foreign {
			return s, true
		}
	}
	return evidence.Sighting{}, false
}
