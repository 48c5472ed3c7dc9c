package account

import (
	"slices"
	"strings"
)

// trace gives each record of the role to the visit that it is of.
func (b *book) trace() {
	var egress []*Record
	for _, r := range b.records() {
		switch {
		case r.egress():
			egress = append(egress, r)
		case r.In == 0 && r.Layer != Bridge:
			b.send(r)
		case r.In == 0:
			if !b.claim(r) {
				b.clone(r)
			}
		case r.starts():
			switch {
			case b.claim(r):
			case len(r.Hooks) == 0: // of a clone, dropped before it was through with a hook
				b.clone(r)
			default:
				b.arrive(r)
			}
		default:
			b.clone(r)
		}
	}
	for _, r := range egress {
		b.leaves(r)
	}
}

// records are those of the role, each node's together and in order.
func (b *book) records() []*Record {
	var all []*Record
	for i := range b.Records {
		if b.Records[i].Role == b.role && !b.looped(&b.Records[i]) {
			all = append(all, &b.Records[i])
		}
	}
	slices.SortStableFunc(all, func(r, s *Record) int { return strings.Compare(r.Node, s.Node) })
	return all
}

// looped says whether a record is of the asker's own copy of what it sends to a group: its
// kernel makes it after the output hook, and no tap sees it (ip_mc_output, net/ipv4/ip_output.c).
func (b *book) looped(r *Record) bool {
	if b.role != Request || r.Node != b.Asker || r.Layer != IP || r.In == 0 && (len(r.Hooks) == 0 || r.Hooks[0] != PostroutingHook) {
		return false
	}
	sent, came := false, false
	for _, s := range b.Sightings {
		if s.Tuple == r.Before.Tuple {
			sent = sent || s.Group
			came = came || s.Node == b.Asker && s.Direction == In
		}
	}
	return sent && !came
}

// starts says whether a record is of what came in there, and not of a clone that the
// kernel made further on.
func (r *Record) starts() bool {
	return r.ID == 0 || len(r.Hooks) == 0 || r.Hooks[0] == IngressHook || r.Hooks[0] == PreroutingHook
}

// egress says whether a record is of an interface's own hook on the way out.
func (r *Record) egress() bool { return r.Layer == Device && r.In == 0 }

// stationOf is where a record was made; of a device's any station of the node.
func (b *book) stationOf(r *Record) station {
	if r.Layer != Bridge {
		return station{node: r.Node}
	}
	for _, index := range []int{r.In, r.Out} {
		l := b.link(r.Node, index)
		if l.Bridge {
			return station{r.Node, index}
		}
		if bridge := b.bridgeOf(r.Node, l); bridge != 0 {
			return station{r.Node, bridge}
		}
	}
	return station{node: r.Node, bridge: -1}
}

// by says whether a visit came by an interface, or by one that belongs to it.
func (b *book) by(v *visit, index int) bool {
	return slices.ContainsFunc(v.ins, func(s Sighting) bool {
		return s.Index == index || b.link(v.at.node, s.Index).Master == index
	})
}

// claim gives a record to the first visit that it fits best, and that has none of its
// kind.
func (b *book) claim(r *Record) bool {
	at := b.stationOf(r)
	v, ok := best(b.visits, func(v *visit) int {
		switch {
		case v.at != at && (r.Layer != Device || v.at.node != r.Node):
			return 0
		case r.Layer == IP && v.foreign(): // it does not come to their hooks
			return 0
		case len(v.ins) == 0 || r.In != 0 && !b.by(v, r.In) || r.In == 0 && v.ins[0].Direction == In:
			return 0
		case len(v.lines) > 0 && slices.ContainsFunc(v.lines[0].records, func(o *Record) bool { return o.Layer == r.Layer && o.In == r.In }):
			return 0
		}
		return likeness(v.head, r.Before)
	})
	if !ok {
		return false
	}
	if len(v.lines) == 0 {
		v.lines = []*line{{}}
	}
	v.lines[0].records = append(v.lines[0].records, r)
	b.turn(v)
	return true
}

// turn notes that a visit's packet was the last that came to rules.
func (b *book) turn(v *visit) {
	b.turns++
	v.turn = b.turns
}

// arrive makes a visit of a record that no tap saw the packet of.
func (b *book) arrive(r *Record) {
	v := &visit{at: b.stationOf(r), head: r.Before, in: r.In, lines: []*line{{records: []*Record{r}}}}
	b.visits = append(b.visits, v)
	b.turn(v)
}

// clone gives a record to the visit that it is a clone of; where nothing else was
// traced of that, it is the packet itself.
func (b *book) clone(r *Record) {
	at := b.stationOf(r)
	v, ok := best(b.visits, func(v *visit) int {
		if v.at != at || r.In != 0 && !b.by(v, r.In) && v.in != r.In {
			return 0
		}
		return b.kinship(v, r)
	})
	if !ok {
		b.arrive(r)
		return
	}
	v.lines = append(v.lines, &line{records: []*Record{r}, clone: len(v.lines) > 0})
}

// leaves gives the record of an interface's egress hook to the line that was to leave
// by it; where nothing was traced before, to the visit.
func (b *book) leaves(r *Record) {
	var lines []*line
	for _, v := range b.visits {
		if v.at.node == r.Node {
			lines = append(lines, v.lines...)
		}
	}
	l, ok := best(lines, func(l *line) int {
		if !l.left() || l.out().Out != r.Out || l.stop() != nil || l.last().egress() {
			return 0
		}
		return likeness(l.out().After, r.Before)
	})
	switch {
	case ok:
		l.records = append(l.records, r)
	case r.Drop != nil || r.Took != "":
		b.clone(r)
	}
}
