package policy

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// compare is a comparison of a register.
func (c *compiler) compare(register uint32, op expr.CmpOp, data []byte) {
	low, high := make([]byte, len(data)), bytes.Repeat([]byte{0xff}, len(data))
	switch op {
	case expr.CmpOpEq:
		c.ranged(register, data, data, false)
	case expr.CmpOpNeq:
		c.ranged(register, data, data, true)
	case expr.CmpOpLt:
		c.ranged(register, data, high, true)
	case expr.CmpOpLte:
		c.ranged(register, low, data, false)
	case expr.CmpOpGt:
		c.ranged(register, low, data, true)
	case expr.CmpOpGte:
		c.ranged(register, data, high, false)
	default:
		c.unknown("a comparison")
	}
}

// ranged keeps what is from first to last, or what is not.
func (c *compiler) ranged(register uint32, first, last []byte, not bool) {
	cells := c.regs.get(register, len(first))
	if c.maskedMark(cells, first, last, not) {
		return
	}
	box, ok := c.boxOf(cells, first, last)
	if !ok || !holds(cells, box) || not && asksNext(cells) {
		c.lengthIn(cells, first, last, not)
		if c.unnamed(cells); ok && !not && !asksNext(cells) {
			c.loosely(box)
		}
		return
	}
	if not {
		c.meet(c.outside(box))
		return
	}
	c.lack(cells, box)
	c.meet(box)
}

// boxOf is the box of cells from first to last: none, or one. Of several fields only equality
// is one.
func (m *model) boxOf(cells []cell, first, last []byte) (boxes []box, ok bool) {
	parts, ok := groups(cells)
	ok = ok && (!asksNext(cells) || bytes.Equal(first, last) && !extends(cells, first))
	if !ok || len(parts) > 1 && !bytes.Equal(first, last) {
		return nil, false
	}
	var b box
	for _, g := range parts {
		n := g.at + len(g.cells)
		if n > len(first) || n > len(last) {
			return nil, false
		}
		s, ok := m.within(g, first[g.at:n], last[g.at:n])
		if !ok {
			return nil, false
		}
		if g.cells[0].kind == cellConst {
			if s.isEmpty() {
				return nil, true
			}
			continue
		}
		f := g.cells[0].of
		if b[f] = b[f].and(s); b[f].isEmpty() {
			return nil, true
		}
	}
	return []box{b}, true
}

// asksNext says whether cells are IPv6's next header.
func asksNext(cells []cell) bool {
	return slices.ContainsFunc(cells, func(c cell) bool { return c.kind == cellField && c.as == asNext })
}

// extends says whether a value of the next header is an extension, after which any protocol may come.
func extends(cells []cell, value []byte) bool {
	for i, c := range cells {
		if c.as == asNext && slices.Contains([]byte{0, 43, 44, 50, 51, 60, 135, 139, 140, 253, 254}, value[i]) {
			return true
		}
	}
	return false
}

// lack notes why there is no such packet, where that is an interface.
func (c *compiler) lack(cells []cell, boxes []box) {
	if len(boxes) == 0 && len(cells) > 0 && cells[0].kind == cellField && (cells[0].of == fieldIn || cells[0].of == fieldOut) {
		c.line.lacks = "an interface that the node has not got"
	}
}

// outside are all packets but those of the boxes.
func (m *model) outside(boxes []box) []box { return m.less([]box{{}}, boxes) }

// lasting is how long elements are to be there that are held to stay: longer than rules are tried.
const lasting = 2 * time.Minute

// lookup asks a set, or a map. What no rule changes has the elements that were read.
func (c *compiler) lookup(x *expr.Lookup) {
	set := c.line.in.of.Table.Sets[x.SetName]
	if changes := set == nil || set.Updated || set.Stateful; changes || !set.Lasts(lasting) {
		c.lacking(x, "a set that changes by itself")
		among := !changes && !x.IsDestRegSet && !x.Invert // in what ends there is no more than now
		if !among && (set == nil || !set.Verdicts || !x.IsDestRegSet) {
			c.regs.forget()
			return
		}
	}
	cells := c.regs.get(x.SourceRegister, set.KeyLen)
	if x.IsDestRegSet && set.Verdicts {
		c.verdictMap(set, cells)
		return
	}
	boxes, ok := c.elements(set, cells, func(*inspect.Element) bool { return true })
	if x.IsDestRegSet {
		c.regs.put(x.DestRegister, make([]cell, set.DataLen)...)
		if c.maps++; ok {
			c.line.values = c.valuesOf(set, cells)
		}
	}
	switch {
	case !ok, x.Invert && asksNext(cells):
		c.unknown("a set that is not modelled")
	case x.Invert && len(boxes) > most(set):
		c.unknown("a large set that is negated")
	case x.Invert:
		c.meet(c.outside(boxes))
	default:
		if c.lack(cells, boxes); len(set.Elements) == 0 {
			c.line.lacks = "an element of set " + set.Name + ", which has none"
		}
		c.meet(boxes)
	}
}

// most is how many boxes of a set are turned inside out.
func most(set *inspect.Set) int {
	const plain, several = mostBoxes, 8
	if len(set.Fields) > 1 {
		return several
	}
	return plain
}

// elements are the packets that some elements of a set have.
func (c *compiler) elements(set *inspect.Set, cells []cell, which func(*inspect.Element) bool) (boxes []box, ok bool) {
	var one box // of a single field, all together
	single := field(-1)
	all := false
	for i := range set.Elements {
		e := &set.Elements[i]
		if e.CatchAll {
			all = all || which(e)
			continue
		}
		made, ok := c.element(set, e, cells)
		if !ok {
			return nil, false
		}
		if !which(e) {
			continue
		}
		for _, b := range made {
			if f, is := b.single(); is && (single < 0 || single == f) {
				if single < 0 {
					single, one[f] = f, none()
				}
				one[f] = append(one[f], b[f]...)
				continue
			}
			boxes = append(boxes, b)
		}
	}
	if single >= 0 {
		one[single] = one[single].tidy()
		boxes = append(boxes, one)
	}
	if all { // also what no element has
		others, ok := c.elements(set, cells, func(e *inspect.Element) bool { return !e.CatchAll })
		if !ok || len(others) > most(set) {
			return nil, false
		}
		boxes = append(boxes, c.outside(others)...)
	}
	return boxes, true
}

// single is the only field that a box is about.
func (b *box) single() (of field, is bool) {
	for f := range b {
		if b[f] != nil {
			if is {
				return 0, false
			}
			of, is = field(f), true
		}
	}
	return of, is
}

// element is the box of an element.
func (c *compiler) element(set *inspect.Set, e *inspect.Element, cells []cell) (boxes []box, ok bool) {
	boxes, ok = c.parts(set, e, cells)
	return boxes, ok && holds(cells, boxes)
}

// parts is the box of an element: part by part in a concatenation of ranges.
func (c *compiler) parts(set *inspect.Set, e *inspect.Element, cells []cell) (boxes []box, ok bool) {
	if e.End == nil {
		return c.boxOf(cells[:min(len(cells), len(e.Key))], e.Key, e.Key)
	}
	if len(set.Fields) == 0 {
		return c.boxOf(cells, e.Key, e.End)
	}
	boxes = []box{{}}
	at := 0
	for _, size := range set.Fields {
		if at+size > len(e.Key) || at+size > len(e.End) || at+size > len(cells) {
			return nil, false
		}
		part, ok := c.boxOf(cells[at:at+size], e.Key[at:at+size], e.End[at:at+size])
		if !ok {
			return nil, false
		}
		boxes = andAll(boxes, part)
		at += (size + 3) &^ 3
	}
	return boxes, true
}

// verdictMap makes an arm of each verdict of a map.
func (c *compiler) verdictMap(set *inspect.Set, cells []cell) {
	before := c.boxes
	var seen []expr.Verdict
	for i := range set.Elements {
		v := set.Elements[i].Verdict
		if v == nil || slices.ContainsFunc(seen, func(s expr.Verdict) bool { return s.Kind == v.Kind && s.Chain == v.Chain }) {
			continue
		}
		seen = append(seen, *v)
		boxes, ok := c.elements(set, cells, func(e *inspect.Element) bool {
			return e.Verdict != nil && e.Verdict.Kind == v.Kind && e.Verdict.Chain == v.Chain
		})
		c.boxes = before
		if ok {
			c.meet(boxes)
		} else {
			c.unknown("a map of several fields")
		}
		c.verdict(*v)
	}
	c.ended = true
}
