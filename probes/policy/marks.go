package policy

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/probes/internal/rules"
)

// markSize is how many bytes a packet's mark has.
const markSize = 4

// markOf is what iptables' MARK makes of a mark: struct xt_mark_tginfo2, whose mask's bits it takes away before it turns those of the mark.
func (c *compiler) markOf(x *expr.Target) []cell {
	const revision, size = 2, 8
	info, ok := x.Info.(*xt.Unknown)
	if !ok || x.Rev != revision || len(*info) < size {
		return toldCells(markSize)
	}
	cells := fieldCells(fieldMark, asNative, markSize)
	for i := range cells {
		cells[i].mask, cells[i].xor = ^(*info)[markSize+i], (*info)[i]
	}
	return cells
}

// marked are the packets with the mark that a rule gives them, if it gives them one.
func (t trail) marked(l *line) trail {
	if l.marks == nil {
		return t
	}
	had, known := t.mark()
	made := make([]byte, 0, markSize)
	for i, c := range l.marks {
		switch {
		case c.kind == cellConst:
			made = append(made, c.value)
		case c.kind == cellField && c.of == fieldMark && c.at == i && known:
			made = append(made, had[i]&c.mask^c.xor)
		default:
			t.over[fieldMark] = override{unknown: true}
			return t
		}
	}
	t.over[fieldMark] = override{is: true, value: small(uint64(binary.NativeEndian.Uint32(made)))}
	return t
}

// mostMarks bounds how many marks rules may give for all to be known.
const mostMarks = 1 << 8

// marksOf are all marks that packets get by a ruleset's rules, and 0; nil where that is not known.
func (m *model) marksOf() set {
	setters := m.setters()
	all := []number{{}}
	for at := 0; at < len(all); at++ { // what is made of one is looked at in its turn
		for _, l := range setters {
			made, is := l.mark(all[at])
			if !is || len(all) > mostMarks {
				return nil
			}
			all = union(all, made)
		}
	}
	marks := none()
	for _, n := range all {
		marks = append(marks, span{n, n})
	}
	return marks.tidy()
}

// setters are the rules of a ruleset that set marks.
func (m *model) setters() (lines []*line) {
	for _, table := range m.set.Tables {
		for _, ch := range table.Chains {
			for _, rule := range ch.Rules {
				if rules.SetsMark(rule) {
					lines = append(lines, m.compile(&chain{of: ch}, rule))
				}
			}
		}
	}
	return lines
}

// markIn keeps the packets of which the mark is in a range under a mask, or with not those of which it is not. That is known of
// the marks that rules give; with another one a packet may match.
func (c *compiler) markIn(mask uint32, among [][2]uint32, not bool) (known bool) {
	if c.marks == nil {
		return false
	}
	s := c.domain[fieldMark].without(c.marks)
	for _, x := range c.marks {
		for n := x.first; n.compare(x.last) <= 0; n = n.next() {
			in := slices.ContainsFunc(among, func(a [2]uint32) bool { return uint32(n.lo)&mask >= a[0] && uint32(n.lo)&mask <= a[1] })
			if in != not {
				s = append(s, span{n, n})
			}
		}
	}
	c.opens("a mark under a mask")
	c.only(fieldMark, s.tidy())
	return true
}

// maskedMark does so for cells of a mark; false where they are not one of which some bits count.
func (c *compiler) maskedMark(cells []cell, first, last []byte, not bool) bool {
	if len(cells) != markSize || len(first) != markSize || !slices.Equal(first, last) {
		return false
	}
	mask, xor := make([]byte, 0, markSize), make([]byte, 0, markSize)
	for i, cell := range cells {
		if cell.kind != cellField || cell.of != fieldMark || cell.as != asNative || cell.at != i {
			return false
		}
		mask, xor = append(mask, cell.mask), append(xor, cell.xor)
	}
	bits := binary.NativeEndian.Uint32(mask)
	value := binary.NativeEndian.Uint32(first) ^ binary.NativeEndian.Uint32(xor)
	return bits != math.MaxUint32 && c.markIn(bits, [][2]uint32{{value, value}}, not)
}

// likeMarked begins with packets that rules give the mark which the goal's asks for.
func (s *search) likeMarked() *search {
	if s.goal.line == nil || !s.goal.line.marked() {
		return s
	}
	wanted := s.open
	for _, table := range s.tables() {
		for _, c := range table.Chains {
			for _, l := range s.chains[c].lines {
				for i := range l.arms {
					s.open = append(s.open, l.gives(wanted, l.arms[i].boxes)...)
				}
			}
		}
	}
	return s
}

// gives are those of some packets that were a rule's before it gave them the mark that they have.
func (l *line) gives(packets, had []box) (all []box) {
	value, is := l.mark(number{})
	if !is || l.marks == nil {
		return nil
	}
	for _, b := range packets {
		if !b[fieldMark].has(value) {
			continue
		}
		b[fieldMark] = set{{value, value}}
		for _, before := range had {
			before[fieldMark], before[fieldOut], before[fieldTTL] = nil, nil, nil // which are others here
			if both, some := b.and(&before); some {
				all = append(all, both)
			}
		}
	}
	return all
}

// mark is what a rule makes of one.
func (l *line) mark(of number) (value number, is bool) {
	var t trail
	t.over[fieldMark] = override{is: true, value: of}
	t = t.marked(l)
	return t.over[fieldMark].value, t.over[fieldMark].is
}

// mark is that of all packets of a trail, where they have the same.
func (t trail) mark() (bytes []byte, known bool) {
	value := t.over[fieldMark].value
	switch all := t.box[fieldMark]; {
	case t.over[fieldMark].unknown:
		return nil, false
	case t.over[fieldMark].is:
	case len(all) != 1 || all[0].first != all[0].last:
		return nil, false
	default:
		value = all[0].first
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(value.lo)), true
}
