package account

import "slices"

// isGoal says whether packets of a role are for the node: requests for the target, and so
// errors about its answers; what comes back for the asker.
func (in *Input) isGoal(role Role, node string) bool {
	switch {
	case node == "":
		return false
	case role == Answer || role == Refusal:
		return node == in.Asker
	case in.Target == "":
		return slices.Contains(in.Owners, node)
	}
	return node == in.Target
}

// atGoal says whether a station is such a node itself, and not a bridge in it.
func (b *book) atGoal(at station) bool { return at.bridge == 0 && b.isGoal(b.role, at.node) }

// branch is what became of a packet at a station: an end, or what it is seen as next.
type branch struct {
	end      End
	exit     *exit
	gap      *visit
	copy     bool
	relayed  string // see Packet
	mirrored bool   // perhaps: see Packet.Gap
	of       *line  // what rules did with it; nil of what came to none
}

// packets are those of the role, each followed to its end.
func (b *book) packets() (all []Packet) {
	for _, v := range b.visits {
		if v.from == nil && v.up == nil {
			p := Packet{Role: b.role}
			if v.stray() {
				p.Copy, p.Stray = true, true
			}
			if v.own() && b.role == Request && v.at.node != b.Asker { // a program's
				p.Copy, p.From = true, v.at.node
			}
			all = append(all, b.follow(v, p)...)
		}
	}
	slices.SortStableFunc(all, func(p, q Packet) int { return p.sequel() - q.sequel() })
	if b.role != Request || b.Asker == "" {
		return all
	}
	if _, watched := b.Nodes[b.Asker]; watched {
		for range b.Sent - b.made() {
			all = append(all, Packet{Role: Request, End: End{Kind: Unsent, Node: b.Asker}})
		}
	}
	return all
}

// sequel orders packets: what was seen to be sent, what came from nowhere, copies.
func (p Packet) sequel() int {
	switch {
	case p.Copy:
		return 2
	case len(p.Way) > 0 && p.Way[0].Direction == In:
		return 1
	}
	return 0
}

// follow leads a packet on from a visit: it comes first, then the copies that were
// made of it.
func (b *book) follow(v *visit, p Packet) []Packet {
	for _, s := range v.ins {
		if s.Direction == In && (v.from == nil || s != v.from.last()) { // one sighting tells of a bridge and its node
			p.Way = append(p.Way, b.place(s))
		}
	}
	branches := b.branches(v)
	var all []Packet
	var copies []branch
	for _, br := range branches {
		if br.copy {
			copies = append(copies, br)
			continue
		}
		all = append(all, b.on(v, br, p)...)
	}
	for _, br := range copies {
		one := Packet{Role: b.role, Copy: true, From: v.at.node, Stray: p.Stray}
		if br.exit != nil && v.own() && br.exit.first().Piece.is() { // its kernel made fragments of what it sent
			one.Copy, one.From = p.Copy, p.From
		}
		all = append(all, b.on(v, br, one)...)
	}
	return all
}

// on leads a packet along a branch.
func (b *book) on(v *visit, br branch, p Packet) []Packet {
	p.Gap = p.Gap || br.mirrored
	if b.stops && !br.copy {
		p.Stops = append(p.Stops, b.stop(v, br))
	}
	if br.relayed != "" {
		p.Relayed = br.relayed
	}
	switch {
	case br.exit != nil && br.copy && v.at.bridge != 0 && br.exit.flooded():
		p.Stray = true
		return b.flooded(br.exit, p)
	case br.exit != nil:
		return b.leads(br.exit, p)
	case br.gap != nil:
		p.Gap = true
		return b.follow(br.gap, p)
	}
	p.End = br.end
	if len(p.Way) == 0 { // no tap saw it
		p.Way = []Place{{Node: v.at.node, Header: br.end.Header}}
		if !p.Copy {
			p.Way[0].Index, p.Way[0].Interface = v.in, b.link(v.at.node, v.in).Name
		}
	}
	return []Packet{p}
}

// leads takes a packet over a wire: to where it came in, and, as copies, to where else.
func (b *book) leads(e *exit, p Packet) (all []Packet) {
	for _, s := range e.seen {
		p.Way = append(p.Way, b.place(s))
	}
	if e.gap != nil {
		p.Gap = true
		return b.follow(e.gap, p)
	}
	var strays []Packet
	var to []*visit
	for _, v := range e.to {
		if v.stray() {
			strays = append(strays, b.follow(v, Packet{Role: b.role, Copy: true, From: e.at.node, Stray: true})...)
		} else {
			to = append(to, v)
		}
	}
	switch s := e.last(); {
	case len(to) == 0 && s.Direction == In: // a bridge handed it to its node, which it was not for
		p.End = End{Kind: Died, Node: s.Node, Interface: b.link(s.Node, s.Index).Name, Index: s.Index, Bridge: true, Header: s.Header}
		return []Packet{p}
	case len(to) == 0:
		p.End = b.onTheWire(e)
		return append([]Packet{p}, strays...)
	}
	first := nearest(to, b.reachVisit)
	all = b.follow(to[first], p)
	for i, v := range to {
		if i != first {
			all = append(all, b.follow(v, Packet{Role: b.role, Copy: true, From: e.at.node})...)
		}
	}
	return append(all, strays...)
}

// flooded leads a copy that was for nobody where it went.
func (b *book) flooded(e *exit, p Packet) (all []Packet) {
	for _, s := range e.seen {
		p.Way = append(p.Way, b.place(s))
	}
	for _, v := range e.to {
		one := p
		one.Way = slices.Clone(p.Way)
		all = append(all, b.follow(v, one)...)
	}
	return all
}

func (b *book) place(s Sighting) Place {
	return Place{At: s.At, Node: s.Node, Interface: b.link(s.Node, s.Index).Name, Index: s.Index, Direction: s.Direction, Header: s.Header}
}

// onTheWire is the end of what left and came in nowhere.
func (b *book) onTheWire(e *exit) End {
	s := e.last()
	l := b.link(s.Node, s.Index)
	end := End{Kind: OnTheLink, Node: s.Node, Interface: l.Name, Index: s.Index, Header: s.Header}
	if l.Segment != "" && (l.Outside || !b.watches(s, l.Segment)) {
		end.Kind = Unknown
	}
	return end
}

// watches says whether any other end of a segment is at a watched node.
func (b *book) watches(s Sighting, segment string) bool {
	for node := range b.Nodes {
		for _, l := range b.Links[node] {
			if l.Segment == segment && (node != s.Node || l.Index != s.Index) {
				return true
			}
		}
	}
	return false
}
