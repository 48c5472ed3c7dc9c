package account

import (
	"cmp"
	"slices"
)

// joined is the input with the fragments of each packet of a role as one, where all of them were seen
// wherever one was, and rules did with one what they did with all. Where they fared differently
// it is the input as it was: each is followed by itself.
func (in Input) joined(role Role) Input {
	is := func(h Header, of Role) bool { return of == role && h.Piece.is() }
	if !slices.ContainsFunc(in.Sightings, func(s Sighting) bool { return is(s.Header, s.Role) }) &&
		!slices.ContainsFunc(in.Records, func(r Record) bool { return is(r.Before, r.Role) }) {
		return in
	}
	out := in
	var ok bool
	if out.Sightings, ok = joinSightings(in.Sightings, role); !ok {
		return in
	}
	if out.Records, ok = joinRecords(in.Records, role); !ok {
		return in
	}
	return out
}

// placeOf is where fragments of one packet are seen. Their headers do not tell: a kernel that has put
// them together and takes them apart again writes into those of the later ones, where also the taps
// that they came by read them (ip_do_fragment, net/ipv4/ip_output.c).
type placeOf struct {
	node           string
	index          int
	direction      Direction
	layer          Layer
	foreign, group bool
}

// pack is fragments of one packet at one place, by their places in a list.
type pack struct {
	where placeOf
	at    []int
	heads []Header
}

// packsOf puts fragments together: a second one with an offset that was seen begins another packet.
func packsOf[T any](all []T, piece func(T) (placeOf, Header, bool)) (packs []*pack) {
	for i, one := range all {
		where, h, is := piece(one)
		if !is {
			continue
		}
		at := slices.IndexFunc(packs, func(k *pack) bool {
			return k.where == where && !slices.ContainsFunc(k.heads, func(o Header) bool { return o.Piece.Offset == h.Piece.Offset })
		})
		if at < 0 {
			at, packs = len(packs), append(packs, &pack{where: where})
		}
		packs[at].at, packs[at].heads = append(packs[at].at, i), append(packs[at].heads, h)
	}
	return packs
}

// together is a list with the fragments of each packet as one, where the first of them was: join
// makes it of them, and says which places of the list it is of; false where it cannot, or nobody can
// tell which is of which.
func together[T any](all []T, packs []*pack, join func(*pack) (one T, by []int, ok bool)) (out []T, ok bool) {
	ones, gone := map[int]T{}, map[int]bool{}
	for _, k := range packs {
		one, by, ok := join(k)
		if !ok || slices.ContainsFunc(by, func(i int) bool { return gone[i] }) {
			return nil, false
		}
		ones[k.at[0]] = one
		for _, i := range by {
			gone[i] = i != k.at[0]
		}
	}
	for i, each := range all {
		if one, is := ones[i]; is {
			each = one
		}
		if !gone[i] {
			out = append(out, each)
		}
	}
	return out, true
}

// whole is the header of the packet that the fragments make; false where one is missing.
func (k *pack) whole() (Header, bool) {
	heads := slices.SortedFunc(slices.Values(k.heads), func(h, i Header) int { return cmp.Compare(h.Piece.Offset, i.Piece.Offset) })
	next := 0
	for i, h := range heads {
		if h.Piece.Offset != next || h.Piece.More != (i < len(heads)-1) {
			return Header{}, false
		}
		next += h.Piece.Size
	}
	h := heads[0]
	h.Length, h.Piece = h.Piece.Head+next, Piece{}
	if h.Source.Addr().Is6() {
		h.Identity = 0 // it is the fragments' alone
	}
	return h, true
}

// joinSightings are the sightings with each packet's fragments as one, seen when the first was;
// false where one is missing anywhere.
func joinSightings(all []Sighting, role Role) ([]Sighting, bool) {
	packs := packsOf(all, func(s Sighting) (placeOf, Header, bool) {
		return placeOf{node: s.Node, index: s.Index, direction: s.Direction, foreign: s.Foreign, group: s.Group}, s.Header, s.Role == role && s.Piece.is()
	})
	return together(all, packs, func(k *pack) (s Sighting, by []int, ok bool) {
		s = all[k.at[0]]
		s.Header, ok = k.whole()
		return s, k.at, ok
	})
}

// joinRecords are the records with each packet's fragments as one; false where one has none, or rules
// did not do the same with all.
func joinRecords(all []Record, role Role) ([]Record, bool) {
	packs := packsOf(all, func(r Record) (placeOf, Header, bool) {
		return placeOf{node: r.Node, index: r.In, layer: r.Layer}, r.Before, r.Role == role && r.Before.Piece.is()
	})
	own := slices.Clone(all)
	for i := range own {
		own[i].of = []int{i}
	}
	return together(own, packs, func(k *pack) (Record, []int, bool) { return join(all, k, role) })
}

// join makes one record of a packet's fragments, and of what the kernel put together of them; by
// are the places of those that it is of.
func join(all []Record, k *pack, role Role) (one Record, by []int, alike bool) {
	head, ok := k.whole()
	if !ok {
		return one, nil, false
	}
	one, by = all[k.at[0]], slices.Clone(k.at)
	after := one.After
	after.Length, after.Piece, after.Identity = head.Length, Piece{}, head.Identity
	for i, at := range k.at {
		r := all[at]
		if k.heads[i].Piece.Offset == 0 {
			after.Tuple = r.After.Tuple
		}
		if !slices.Equal(r.Hooks, one.Hooks) || r.Out != one.Out || !sameRule(r.Drop, one.Drop) || r.Took != one.Took {
			return one, nil, false
		}
	}
	one.Before, one.After = head, after
	onward := len(one.Hooks) > 0 && one.Hooks[len(one.Hooks)-1] > PreroutingHook
	if onward || one.Drop != nil || one.Took != "" || one.Layer == Device {
		one.of = by
		return one, by, true
	}
	at := slices.IndexFunc(all, func(r Record) bool {
		return r.Gathered && r.Role == role && r.Node == one.Node && r.Layer == one.Layer && r.In == one.In && compatible(r.Before, head)
	})
	if at < 0 { // they wait for one another still
		return one, nil, false
	}
	whole := all[at]
	by = append(by, at)
	whole.Hooks = slices.Compact(slices.Concat(one.Hooks, whole.Hooks))
	whole.Before, whole.of = head, by
	return whole, by, true
}

func sameRule(r, s *Rule) bool {
	return r == s || r != nil && s != nil && *r == *s
}
