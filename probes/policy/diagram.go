package policy

import (
	"encoding/binary"
	"slices"
)

// asked is the order in which a diagram asks for fields.
var asked = []field{
	fieldState, fieldProto, fieldHead, fieldIn, fieldOut, fieldDport, fieldDst, fieldSrc, fieldType, fieldCode, fieldFlags, fieldSport, fieldMark, fieldTTL,
}

// diagram tells packets apart field by field (a firewall decision diagram: Gouda and Liu, ICDCS 2004). Two that tell the same
// packets apart are equal, whichever boxes they were made of: that is what makes a policy's text stable.
type diagram struct {
	hull   box
	boxes  []box
	made   map[string]*fork
	shared map[string]*fork
	leaf   func(boxes []int) int
	leaves map[int]*fork
	count  int
}

// fork is where packets part by a field, or what they all are.
type fork struct {
	id    int
	depth int
	edges []edge
	leaf  int
}

type edge struct {
	over set
	to   *fork
}

// mostForks bounds how often the packets of a diagram part.
const mostForks = 1 << 16

// newDiagram is that of boxes of a hull; leaf is what packets are that are in some of them. It is nil where that takes
// too many forks.
func newDiagram(hull box, boxes []box, leaf func(boxes []int) int) (*diagram, *fork) {
	d := &diagram{hull: hull, boxes: boxes, made: map[string]*fork{}, shared: map[string]*fork{}, leaf: leaf, leaves: map[int]*fork{}}
	all := make([]int, len(boxes))
	for i := range all {
		all[i] = i
	}
	root := d.fork(all, 0)
	if d.count > mostForks {
		return nil, nil
	}
	return d, root
}

// fork tells the packets of some boxes apart, from a field on.
func (d *diagram) fork(boxes []int, depth int) *fork {
	for depth < len(asked) && !slices.ContainsFunc(boxes, func(i int) bool { return d.cuts(i, asked[depth]) }) {
		depth++
	}
	key := keyOf(depth, boxes)
	switch made := d.made[key]; {
	case made != nil:
		return made
	case depth == len(asked):
		d.made[key] = d.end(d.leaf(boxes))
		return d.made[key]
	case d.count > mostForks:
		return d.end(-1)
	}
	d.count++
	var edges []edge
	for _, p := range d.parts(boxes, asked[depth]) {
		edges = append(edges, edge{p.over, d.fork(p.boxes, depth+1)})
	}
	made := d.share(depth, edges)
	d.made[key] = made
	return made
}

func keyOf(depth int, numbers []int) string {
	b := binary.AppendUvarint(nil, uint64(depth))
	for _, n := range numbers {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return string(b)
}

func (d *diagram) end(leaf int) *fork {
	if d.leaves[leaf] == nil {
		d.leaves[leaf] = &fork{id: len(d.shared) + len(d.leaves), depth: len(asked), leaf: leaf}
	}
	return d.leaves[leaf]
}

// cuts says whether a box has but some values of a field.
func (d *diagram) cuts(i int, f field) bool {
	s := d.boxes[i][f]
	return s != nil && !slices.Equal(s, d.hull[f])
}

// piece are values of a field that the same boxes have.
type piece struct {
	over  set
	boxes []int
}

// parts are the values of a field, apart where boxes tell them apart, in the order of their lowest.
func (d *diagram) parts(boxes []int, f field) []piece {
	type event struct {
		at   number
		ends bool // the number is the last one of the box
		box  int
	}
	var events []event
	for at, i := range boxes {
		for _, x := range d.boxes[i][f].and(d.hull[f]) {
			events = append(events, event{x.first, false, at}, event{x.last, true, at})
		}
	}
	slices.SortFunc(events, func(a, b event) int {
		switch c := a.at.compare(b.at); {
		case c != 0 || a.ends == b.ends:
			return c
		case a.ends:
			return 1
		}
		return -1
	})
	s := sweep{in: make([]byte, (len(boxes)+7)/8), found: map[string]int{}, boxes: boxes}
	for _, e := range events {
		last := e.at
		if !e.ends {
			last = e.at.before()
		}
		if s.count > 0 && !s.over && s.from.compare(last) <= 0 && (e.ends || e.at != number{}) {
			s.emit(last)
		}
		s.toggle(e.box, !e.ends)
		if s.from = e.at; e.ends {
			s.from = e.at.next()
			s.over = s.from == number{}
		}
	}
	for i := range s.parts {
		s.parts[i].over = s.parts[i].over.tidy()
	}
	return s.parts
}

// sweep goes through the values of a field, and knows which boxes have each.
type sweep struct {
	boxes []int
	in    []byte // a bit for each box
	count int
	from  number
	over  bool // the highest number of all was passed
	found map[string]int
	parts []piece
}

func (s *sweep) toggle(box int, in bool) {
	s.in[box/8] ^= 1 << (box % 8)
	if s.count--; in {
		s.count += 2
	}
}

// emit adds the values up to the last.
func (s *sweep) emit(last number) {
	at, is := s.found[string(s.in)]
	if !is {
		at = len(s.parts)
		s.found[string(s.in)] = at
		var have []int
		for i, b := range s.boxes {
			if s.in[i/8]&(1<<(i%8)) != 0 {
				have = append(have, b)
			}
		}
		s.parts = append(s.parts, piece{none(), have})
	}
	s.parts[at].over = append(s.parts[at].over, span{s.from, last})
}

// share is the fork with such edges: those that lead to one end are one.
func (d *diagram) share(depth int, edges []edge) *fork {
	var joined []edge
	at := map[*fork]int{}
	for _, e := range edges {
		if i, is := at[e.to]; is {
			joined[i].over = append(joined[i].over, e.over...)
			continue
		}
		at[e.to] = len(joined)
		joined = append(joined, edge{slices.Clone(e.over), e.to})
	}
	for i := range joined {
		joined[i].over = joined[i].over.tidy()
	}
	if len(joined) == 1 && slices.Equal(joined[0].over, d.hull[asked[depth]]) {
		return joined[0].to
	}
	slices.SortFunc(joined, func(a, b edge) int { return a.over[0].first.compare(b.over[0].first) })
	var key []byte
	for _, e := range joined {
		key = binary.AppendUvarint(append(key, 0xff), uint64(e.to.id))
		for _, x := range e.over {
			for _, n := range []number{x.first, x.last} {
				key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(key, n.hi), n.lo)
			}
		}
	}
	whole := keyOf(depth, nil) + string(key)
	if d.shared[whole] == nil {
		d.shared[whole] = &fork{id: len(d.shared) + len(d.leaves), depth: depth, edges: joined}
	}
	return d.shared[whole]
}

// only is the diagram of the packets that have an end; nil where none has.
func (d *diagram) only(f *fork, leaf int, known map[*fork]*fork) *fork {
	if f.depth == len(asked) {
		if f.leaf != leaf {
			return nil
		}
		return f
	}
	if made, is := known[f]; is {
		return made
	}
	var edges []edge
	for _, e := range f.edges {
		if to := d.only(e.to, leaf, known); to != nil {
			edges = append(edges, edge{e.over, to})
		}
	}
	if known[f] = nil; len(edges) > 0 {
		known[f] = d.share(f.depth, edges)
	}
	return known[f]
}

// boxesOf are the packets of a diagram, apart; false where they are more than most.
func (d *diagram) boxesOf(f *fork, b box, most int) (all []box, ok bool) {
	if f == nil {
		return nil, true
	}
	if f.depth == len(asked) {
		return []box{b}, true
	}
	for _, e := range f.edges {
		with := b
		with[asked[f.depth]] = e.over
		more, ok := d.boxesOf(e.to, with, most-len(all))
		if all = append(all, more...); !ok || len(all) > most {
			return all, false
		}
	}
	return all, true
}
