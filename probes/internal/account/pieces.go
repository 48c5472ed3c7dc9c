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
	at    []int
	heads []Header
}

// packs puts fragments together: a second one with an offset that was seen begins another packet.
type packs struct {
	order []placeOf
	of    map[placeOf][]*pack
}

func (p *packs) add(where placeOf, at int, h Header) {
	if p.of == nil {
		p.of = map[placeOf][]*pack{}
	}
	if p.of[where] == nil {
		p.order = append(p.order, where)
	}
	for _, k := range p.of[where] {
		if !slices.ContainsFunc(k.heads, func(o Header) bool { return o.Piece.Offset == h.Piece.Offset }) {
			k.at, k.heads = append(k.at, at), append(k.heads, h)
			return
		}
	}
	p.of[where] = append(p.of[where], &pack{[]int{at}, []Header{h}})
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
func joinSightings(all []Sighting, role Role) (out []Sighting, whole bool) {
	var p packs
	for i, s := range all {
		if s.Role == role && s.Piece.is() {
			p.add(placeOf{node: s.Node, index: s.Index, direction: s.Direction, foreign: s.Foreign, group: s.Group}, i, s.Header)
		}
	}
	heads, gone := map[int]Header{}, map[int]bool{}
	for _, where := range p.order {
		for _, k := range p.of[where] {
			h, ok := k.whole()
			if !ok {
				return nil, false
			}
			heads[k.at[0]] = h
			for _, i := range k.at[1:] {
				gone[i] = true
			}
		}
	}
	for i, s := range all {
		if gone[i] {
			continue
		}
		if h, is := heads[i]; is {
			s.Header = h
		}
		out = append(out, s)
	}
	return out, true
}

// joinRecords are the records with each packet's fragments as one; false where one has none, or rules
// did not do the same with all.
func joinRecords(all []Record, role Role) (out []Record, alike bool) {
	var p packs
	for i, r := range all {
		if r.Role == role && r.Before.Piece.is() {
			p.add(placeOf{node: r.Node, index: r.In, layer: r.Layer}, i, r.Before)
		}
	}
	joins, gone := map[int]Record{}, map[int]bool{}
	for _, where := range p.order {
		for _, k := range p.of[where] {
			one, by, ok := join(all, k, role, gone)
			if !ok {
				return nil, false
			}
			joins[k.at[0]] = one
			for _, i := range by {
				gone[i] = i != k.at[0]
			}
		}
	}
	for i, r := range all {
		if gone[i] {
			continue
		}
		if one, is := joins[i]; is {
			r = one
		} else {
			r.of = []int{i}
		}
		out = append(out, r)
	}
	return out, true
}

// join makes one record of a packet's fragments, and of what the kernel put together of them; by
// are the places of those that it is of.
func join(all []Record, k *pack, role Role, taken map[int]bool) (one Record, by []int, alike bool) {
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
	if at < 0 || taken[at] { // they wait for one another still, or nobody can tell which is of which
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
