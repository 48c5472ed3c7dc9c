package policy

import (
	"fmt"
	"slices"
)

// fieldWords are the fields of a Condition.
var fieldWords = [fields]string{
	fieldIn: "in", fieldOut: "out", fieldSrc: "source", fieldDst: "destination", fieldProto: "protocol", fieldHead: "length", fieldSport: "sport",
	fieldDport: "dport", fieldType: "type", fieldCode: "code", fieldFlags: "flags", fieldState: "state", fieldMark: "mark", fieldTTL: "ttl", fieldStatus: "status",
}

var lengthWords = map[uint64]string{headWhole: "whole", headNone: "before its ports", headPorts: "after its ports"}

// conditions are what a box asks for, but for what all packets of their family have.
func (t *teller) conditions(b *box) (all []Condition) {
	for f, s := range b {
		if s == nil || slices.Equal(s, t.domain[f]) {
			continue
		}
		c := Condition{Field: fieldWords[f]}
		for _, x := range s {
			for _, x := range t.each(field(f), x) {
				c.Ranges = append(c.Ranges, [2]string{t.value(field(f), x.first), t.value(field(f), x.last)})
			}
		}
		all = append(all, c)
	}
	return all
}

// each is a span, or its values one by one where they have names.
func (t *teller) each(f field, x span) []span {
	if f != fieldIn && f != fieldOut && f != fieldState && f != fieldHead {
		return []span{x}
	}
	var all []span
	for _, d := range t.domain[f] {
		for n := d.first; n.compare(d.last) <= 0; n = n.next() {
			if n.compare(x.first) >= 0 && n.compare(x.last) <= 0 {
				all = append(all, span{n, n})
			}
		}
	}
	return all
}

// value is a field's in words.
func (t *teller) value(f field, n number) string {
	switch f {
	case fieldIn, fieldOut:
		return t.name(n)
	case fieldSrc, fieldDst:
		return n.addr(t.v6).String()
	case fieldHead:
		return lengthWords[n.lo]
	case fieldState:
		return stateWords[n.lo]
	}
	return fmt.Sprint(n.lo)
}
