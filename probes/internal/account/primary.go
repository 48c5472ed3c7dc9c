package account

import "slices"

// Ranks of the stages at one node of the way; a node's come after those of the one before.
const (
	stages  = 10
	offWay  = -1
	waiting = stages - 2
	left    = stages - 1
)

// rank is how far a packet came on the plan's way, -1 when it ended beside it.
func (b *book) rank(end End) int {
	way := slices.Clone(b.Way)
	if b.role == Answer || b.role == Refusal {
		slices.Reverse(way)
	}
	if end.Kind == Delivered && b.isGoal(b.role, end.Node) {
		return (len(way) + 1) * stages
	}
	at := slices.Index(way, end.Node)
	if at < 0 {
		return offWay
	}
	switch end.Kind {
	case OnTheLink, Unknown:
		return at*stages + left
	case Waiting:
		return at*stages + waiting
	}
	return at*stages + int(end.Hook)
}

// Primary is the packet of a role whose end is to be named: the one that came nearest
// to where it was to go. It is delivered if any was; else it ended farthest on the plan's
// way, but that of a copy which a rule made is nothing to what that was copied from. A copy
// that ended beside the way is named only when nothing else is open. False when there is no
// packet of the role.
func (a Account) Primary(role Role) (Packet, bool) {
	packets := a.of(role)
	if len(packets) == 0 {
		return Packet{}, false
	}
	b := &book{Input: &a.in, role: role}
	if torn := fragments(packets); len(torn) > 0 { // of which one that is missing is the end of all
		return slices.MinFunc(torn, func(p, q Packet) int { return b.rank(p.End) - b.rank(q.End) }), true
	}
	order := func(p, q Packet) int {
		for _, key := range []func(Packet) int{func(p Packet) int { return b.rank(p.End) }, original, open} {
			if c := key(q) - key(p); c != 0 {
				return c
			}
		}
		return 0
	}
	found := slices.MinFunc(packets, order)
	if found.Copy && found.End.Kind != Delivered {
		if whole := b.copiedFrom(found, packets); len(whole) > 0 {
			return slices.MinFunc(whole, order), true
		}
	}
	if found.Copy && b.rank(found.End) == offWay && closed(found) {
		if i := slices.IndexFunc(packets, func(p Packet) bool { return !closed(p) }); i >= 0 {
			return packets[i], true
		}
	}
	return found, true
}

// fragments are those of the packets that are some.
func fragments(packets []Packet) []Packet {
	return slices.DeleteFunc(slices.Clone(packets), func(p Packet) bool { return !p.Piece().is() })
}

// copiedFrom are the packets themselves of which a node has made a copy; none where a program
// may have sent that instead of them.
func (b *book) copiedFrom(copied Packet, packets []Packet) (whole []Packet) {
	for _, p := range packets {
		switch passes := p.End.Node == copied.From || slices.ContainsFunc(p.Way, func(at Place) bool { return at.Node == copied.From }); {
		case p.Copy || !passes:
		case p.Gap || p.Relayed != "" || p.End.Kind == Taken || p.End.Kind == Delivered && !b.isGoal(b.role, p.End.Node):
			return nil
		default:
			whole = append(whole, p)
		}
	}
	return whole
}

// Aside are the packets of a role whose ends say nothing of it: what strayed, and copies, where
// the packet whose end is to be named is none.
func (a Account) Aside(role Role) (all []Packet) {
	primary, known := a.Primary(role)
	for _, p := range a.Packets {
		if p.Role == role && (p.Stray || p.Copy && known && !primary.Copy) {
			all = append(all, p)
		}
	}
	return all
}

func original(p Packet) int { return truth(!p.Copy) }
func open(p Packet) int     { return truth(!closed(p)) }

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
