package account

import "slices"

// Of follows the packets of a probe. It takes time in the number of sightings and
// records, whatever loops they went.
func Of(in Input) Account { return of(in, false) }

// Detailed is the account with the Stops of packets.
func (a Account) Detailed() Account { return of(a.in, true) }

func of(in Input, stops bool) Account {
	a := Account{Lost: in.Lost, in: in}
	for role := Request; role <= Undone; role++ {
		if role != Request && !in.tells(role) {
			continue
		}
		whole := in.joined(role)
		b := newBook(&whole, role)
		b.stops = stops
		b.trace()
		b.depart()
		b.carry()
		b.bridgeGaps()
		a.Packets = append(a.Packets, b.packets()...)
		a.books[role] = b.count
	}
	a.confirm()
	return a
}

// tells says whether anything was seen of a role.
func (in *Input) tells(role Role) bool {
	return slices.ContainsFunc(in.Sightings, func(s Sighting) bool { return s.Role == role }) ||
		slices.ContainsFunc(in.Records, func(r Record) bool { return r.Role == role })
}

// confirm says of what came in at a node that it was delivered there, where the node is
// seen to have answered: it, or its kernel, which refuses what is for it.
func (a *Account) confirm() {
	for i, p := range a.Packets {
		goal := a.in.isGoal(Request, p.End.Node)
		switch {
		case p.Role != Request || p.End.Seen || p.End.Hook != 0 || p.End.Bridge:
		case p.End.Kind == Delivered && goal && (a.made(Answer, p.End.Node) || a.made(Refusal, p.End.Node)),
			p.End.Kind == Died && a.made(Answer, p.End.Node):
			a.Packets[i].End.Kind, a.Packets[i].End.Seen = Delivered, true
		}
	}
}

// made says whether a node was seen to send packets of a role, its own.
func (a *Account) made(role Role, node string) bool {
	return slices.ContainsFunc(a.Packets, func(p Packet) bool {
		return p.Role == role && !p.Copy && len(p.Way) > 0 && p.Way[0].Node == node && p.Way[0].Direction != In
	})
}

// of are the packets of a role that count: strays are told only.
func (a Account) of(role Role) (all []Packet) {
	for _, p := range a.Packets {
		if p.Role == role && !p.Stray {
			all = append(all, p)
		}
	}
	return all
}

// Closed says whether every packet of a role, one at least, was followed to an end that was
// seen, and nothing lets one be missed.
func (a Account) Closed(role Role) bool { return a.all(role, closed) }

// Over says whether an account is closed and nothing more can come of it: what was let in
// at a node that it was not for, or was sent on by a program, may be sent on later. It
// is what lets a no end before its bound; the blind spots of the nodes Touched are left for
// the caller to look for.
func (a Account) Over(role Role) bool {
	return a.all(role, func(p Packet) bool {
		return closed(p) && p.Relayed == "" && (p.End.Kind != Delivered || a.in.isGoal(role, p.End.Node))
	})
}

func closed(p Packet) bool { return p.End.Seen && !p.Gap }

func (a Account) all(role Role, holds func(Packet) bool) bool {
	packets := a.of(role)
	return a.Lost == "" && len(packets) > 0 && len(a.opaque(role)) == 0 &&
		!slices.ContainsFunc(packets, func(p Packet) bool { return !holds(p) })
}

// Delivered says whether any request, or copy of one, was delivered in the target: it
// came in there by any interface, in a frame for it, and was not seen to end.
func (a Account) Delivered() bool { return a.Arrived(Request) }

// Arrived is Delivered for any role: answers and refusals are for the asker, errors
// about answers for the target.
func (a Account) Arrived(role Role) bool {
	return slices.ContainsFunc(a.of(role), func(p Packet) bool { return p.End.Kind == Delivered && a.in.isGoal(role, p.End.Node) })
}

// Copies are the packets that were copied from others, strays among them.
func (a Account) Copies() (all []Packet) {
	for _, p := range a.Packets {
		if p.Copy {
			all = append(all, p)
		}
	}
	return all
}

// Touched are the nodes that packets of a role came by, in order of their labels.
func (a Account) Touched(role Role) (nodes []string) {
	for _, p := range a.Packets {
		if p.Role != role {
			continue
		}
		for _, w := range p.Way {
			nodes = append(nodes, w.Node)
		}
		if p.End.Node != "" {
			nodes = append(nodes, p.End.Node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// opaque are the nodes touched that may have copied a packet unseen.
func (a Account) opaque(role Role) []string {
	return slices.DeleteFunc(a.Touched(role), func(node string) bool { return a.in.Nodes[node].Opaque == "" })
}
