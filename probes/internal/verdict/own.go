package verdict

import (
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
)

// own is what was seen of all but a role's copies, where it is the end of no copy that counts, and
// of what strayed: what ends these ends no request. Of fragments that fared differently it is what was
// seen of the one whose end counts.
func (o Observation) own(role evidence.Role) evidence.Timeline {
	if p, known := o.Account.Primary(account.Role(role)); known && p.Piece() != (account.Piece{}) {
		return slices.DeleteFunc(slices.Clone(o.Timeline), func(s evidence.Sighting) bool { return s.Role == role && s.Offset != p.Piece().Offset })
	}
	aside := o.Account.Aside(account.Role(role))
	if len(aside) == 0 {
		return o.Timeline
	}
	var whole []account.Packet
	for _, p := range o.Account.Packets {
		if p.Role == account.Role(role) && !p.Stray && !p.Copy {
			whole = append(whole, p)
		}
	}
	return slices.DeleteFunc(slices.Clone(o.Timeline), func(s evidence.Sighting) bool {
		return s.Role == role && ofSome(s, aside) && !ofSome(s, whole)
	})
}

// refusesCopy says whether what a node refuses is a copy, which ended there, while the request
// went on or never came by.
func (o Observation) refusesCopy(node string) bool {
	endsThere := func(p account.Packet) bool { return p.Role == account.Request && p.End.Node == node }
	return slices.ContainsFunc(o.Account.Aside(account.Request), endsThere) &&
		!slices.ContainsFunc(o.Account.Packets, func(p account.Packet) bool { return endsThere(p) && !p.Stray && !p.Copy })
}

// GoesOn says whether what a rule dropped was off its way there, and another packet of the request, or
// of the answer, was seen since: a retransmission.
func (o Observation) GoesOn() bool {
	s, dropped := o.Dropped()
	if !dropped || !o.at(s, s.Role).strayed() {
		return false
	}
	last, seen := o.LastSeen(s.Role)
	return seen && !last.Dropped() && last.At.After(s.At)
}

// ofSome says whether a sighting may be of one of the packets.
func ofSome(s evidence.Sighting, packets []account.Packet) bool {
	return slices.ContainsFunc(packets, func(p account.Packet) bool {
		switch {
		case s.Dropped():
			return p.End.Node == s.Node && sameRule(p.End.Rule, s.Rule)
		case s.ByRule():
			return passesRules(s, p)
		}
		return slices.ContainsFunc(p.Way, func(at account.Place) bool {
			return at.Node == s.Node && at.Index == s.Index && at.Direction == account.Direction(s.Direction) && at.TTL == s.TTL && at.At.Equal(s.At)
		})
	})
}

func sameRule(r *account.Rule, of *evidence.Rule) bool {
	return r != nil && r.Family == of.Family && r.Table == of.Table && r.Chain == of.Chain && r.Handle == of.Handle
}

// passesRules says whether a packet came to the rules of a node where they saw one: as it came in
// there, or, by no interface, as it was sent there or copied.
func passesRules(s evidence.Sighting, p account.Packet) bool {
	if s.Index == 0 {
		return p.From == s.Node || !p.Copy && len(p.Way) > 0 && p.Way[0].Node == s.Node && p.Way[0].Direction != account.In
	}
	return slices.ContainsFunc(p.Way, func(at account.Place) bool {
		return at.Node == s.Node && at.Direction == account.In
	})
}
