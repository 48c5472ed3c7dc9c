package policy

import (
	"math"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/internal/rules"
)

// xtMatch is a condition of iptables-nft that nft has no words for.
func (c *compiler) xtMatch(x *expr.Match) {
	extension, ok := rules.ReadMatch(x)
	for _, asked := range extension.Conditions {
		c.condition("-m "+x.Name, asked)
	}
	if !ok || extension.More {
		c.xtLength(x)
		c.lacking(x, "-m "+x.Name)
	}
}

// condition keeps what an extension asks for.
func (c *compiler) condition(name string, asked rules.Condition) {
	if asked.Header > 0 {
		c.malformed(asked.Header)
		c.there(asked.Header)
	}
	if a := asked.Asks; len(a) == 1 && a[0].Field == rules.FieldMark && a[0].Mask != math.MaxUint32 && c.markIn(a[0].Mask, a[0].Among, asked.Not) {
		return
	}
	boxes := []box{{}}
	if asked.Any {
		boxes = nil
	}
	for _, a := range asked.Asks {
		s, ok := c.asked(a)
		if !ok {
			c.unknown(name)
			return
		}
		var b box
		b[askedFields[a.Field]] = s
		either := []box{b}
		if a.Status != 0 {
			c.status(name)
			either = append(either, box{fieldState: tracked, fieldStatus: withStatus(a.Status)})
		}
		if asked.Any {
			boxes = append(boxes, either...)
		} else {
			boxes = andAll(boxes, either)
		}
	}
	if asked.Not {
		boxes = c.outside(boxes)
	}
	c.meet(boxes)
}

// askedFields are the model's; what routes take an address for is asked of the address.
var askedFields = map[rules.Field]field{
	rules.FieldSourcePort: fieldSport, rules.FieldDestinationPort: fieldDport, rules.FieldFlags: fieldFlags, rules.FieldType: fieldType,
	rules.FieldCode: fieldCode, rules.FieldState: fieldState, rules.FieldMark: fieldMark, rules.FieldTTL: fieldTTL,
	rules.FieldSourceKind: fieldSrc, rules.FieldDestinationKind: fieldDst, rules.FieldSource: fieldSrc, rules.FieldDestination: fieldDst,
}

// asked are the values of a field that a condition lets pass; false where they are not known.
func (c *compiler) asked(a rules.Asked) (set, bool) {
	f := askedFields[a.Field]
	switch f {
	case fieldState:
		c.early()
	case fieldMark:
		c.marked()
	default:
		c.written()
	}
	if a.Field == rules.FieldSource || a.Field == rules.FieldDestination {
		size := addrSize(c.v6)
		return between(numberOf(a.Addresses[0][:size]), numberOf(a.Addresses[1][:size])), true
	}
	made := none()
	for _, among := range a.Among {
		part, ok := between(small(uint64(among[0])), small(uint64(among[1]))), true
		switch {
		case f == fieldSrc || f == fieldDst:
			part, ok = c.kind(among[0])
		case a.Mask != math.MaxUint32:
			part, ok = c.masked(f, a.Mask, among)
		}
		if !ok {
			return nil, false
		}
		made = made.or(part)
	}
	return made, true
}

// masked are the values of which the bits of a mask are in a range.
func (c *compiler) masked(f field, mask uint32, among [2]uint32) (set, bool) {
	size := c.size(f)
	bytesOf := func(n uint32) []byte { return small(uint64(n)).bytes(size) }
	cells := fieldCells(f, asBytes, size)
	for i, bits := range bytesOf(mask) {
		cells[i].mask = bits
	}
	return c.within(group{cells: cells}, bytesOf(among[0]), bytesOf(among[1]))
}

// xtTarget is what iptables-nft does that nft has no words for.
func (c *compiler) xtTarget(x *expr.Target) {
	switch kind, known := rules.TargetVerdict(x.Name); {
	case !known:
		c.lacking(x, "-j "+x.Name)
	case x.Name == "MARK":
		c.line.marks = c.markOf(x)
	case kind != expr.VerdictContinue:
		c.verdict(expr.Verdict{Kind: kind})
	}
}
