package account

import (
	"net/netip"
	"slices"
)

// Origin is the node at which the answer began that the asker has got: of several the one
// that came to it first, from where it asked. Others may have answered as well, and
// what they sent have ended on the way: they are not meant. "" when it is not known.
func (a Account) Origin() string {
	if a.atHome() {
		return a.in.Asker
	}
	asked := a.asked()
	return a.began(Answer, func(at Place) bool { return slices.ContainsFunc(asked, at.answers) })
}

// Refuser is the node at which the refusal began that the asker has got from an address: a
// reset, which somebody on the way may have sent in the target's name, or an ICMP error.
// "" when it is not known.
func (a Account) Refuser(from netip.Addr) string {
	return a.began(Refusal, func(at Place) bool { return !from.IsValid() || at.Source.Addr() == from })
}

// began is where the first packet of a role began that the asker has got and that is meant.
func (a Account) began(role Role, meant func(Place) bool) string {
	var got *Packet
	var at Place
	all := a.of(role)
	for i, p := range all {
		if p.End.Kind != Delivered || p.End.Node != a.in.Asker || len(p.Way) == 0 {
			continue
		}
		last := p.Way[len(p.Way)-1]
		if meant(last) && (got == nil || last.At.Before(at.At)) {
			got, at = &all[i], last
		}
	}
	if got != nil && got.Gap && a.keeps(got.Relayed) {
		return "" // it left there as it had come, or is that node's own
	}
	if got != nil {
		return origin(*got, all)
	}
	// It came by where nobody watches: there must be no other that it may be.
	var nodes []string
	for _, p := range all {
		if p.End.Kind == Dropped {
			return ""
		}
		nodes = append(nodes, origin(p, all))
	}
	if nodes = slices.Compact(nodes); len(nodes) == 1 {
		return nodes[0]
	}
	return ""
}

// atHome says whether the request came in where it was sent, over the loopback, and nothing
// of the probe was seen anywhere else.
func (a Account) atHome() bool {
	elsewhere := slices.ContainsFunc(a.in.Sightings, func(s Sighting) bool { return s.Node != a.in.Asker }) ||
		slices.ContainsFunc(a.in.Records, func(r Record) bool { return r.Node != a.in.Asker })
	return !elsewhere && slices.ContainsFunc(a.in.Sightings, func(s Sighting) bool { return s.Role == Request && s.Direction == In }) &&
		slices.ContainsFunc(a.in.Sightings, func(s Sighting) bool { return s.Role == Answer && s.Direction == In })
}

// keeps says whether a request ended in a node.
func (a Account) keeps(node string) bool {
	return node != "" && slices.ContainsFunc(a.of(Request), func(p Packet) bool { return p.End.Node == node && p.End.Kind != OnTheLink })
}

// asked are the requests as they left the asker.
func (a Account) asked() (all []Tuple) {
	for _, s := range a.in.Sightings {
		if s.Role == Request && s.Node == a.in.Asker && s.Direction == Out && !slices.Contains(all, s.Tuple) {
			all = append(all, s.Tuple)
		}
	}
	return all
}

// answers says whether a packet goes back where a request came from, from where that
// went to. What stands for an echo's ports is not turned round.
func (p Place) answers(request Tuple) bool {
	back := Tuple{Source: request.Destination, Destination: request.Source}
	echo := Tuple{
		Source:      netip.AddrPortFrom(back.Source.Addr(), request.Source.Port()),
		Destination: netip.AddrPortFrom(back.Destination.Addr(), request.Destination.Port()),
	}
	return p.Tuple == back || p.Tuple == echo
}

// origin is where a packet began: a copy, where that began which it was made of. ""
// when it was first seen to come in, or may be a copy of several.
func origin(p Packet, all []Packet) string {
	if !p.Copy {
		if len(p.Way) == 0 || p.Way[0].Direction == In {
			return ""
		}
		return p.Way[0].Node
	}
	found := ""
	for _, whole := range all {
		if whole.Copy || !slices.ContainsFunc(whole.Way, func(at Place) bool { return at.Node == p.From }) {
			continue
		}
		from := origin(whole, nil)
		if found != "" && from != found {
			return ""
		}
		found = from
	}
	return found
}
