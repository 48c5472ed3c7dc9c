package policy

import (
	"encoding/binary"
	"slices"

	"github.com/nstest/nstest/probes/internal/rules"
)

// cell is a byte of a rule's registers: of a field, or constant, or not known.
type cell struct {
	kind      cellKind
	value     byte // of a constant
	of        field
	as        encoding
	at        int // which byte of the field
	mask, xor byte
	told      bool   // that what it is is not known was said
	name      string // of what is not modelled
	length    bool   // the packet's, less what is before
	before    uint16
	loose     bool // a port, of packets of protocols that have some: others have something else there
}

type cellKind int

const (
	cellUnknown cellKind = iota
	cellConst
	cellField
)

// encoding is how a field stands in a register.
type encoding int

const (
	asBytes  encoding = iota // as in a packet
	asName                   // an interface's name
	asNative                 // four bytes in the machine's order
	asNext                   // IPv6's next header: the upper protocol, if it is no extension
	asKind                   // what the node takes an address for, four bytes in the machine's order
	asType                   // an interface's type, two bytes in the machine's order
	asStatus                 // conntrack's status, of which no more is known than of translated addresses
)

// registers are a rule's while it is compiled.
type registers struct{ rules.Registers[cell] }

func (r *registers) put(register uint32, cells ...cell) {
	for i, at := 0, r.Load(register, len(cells)); i < len(at); i++ {
		if at[i] = (cell{kind: cellConst}); i < len(cells) {
			at[i] = cells[i]
		}
	}
}

// forget makes all not known, which was said.
func (r *registers) forget() { copy(r.Registers[:], toldCells(len(r.Registers))) }

func (r *registers) get(register uint32, n int) []cell {
	cells := make([]cell, n)
	copy(cells, r.Part(register, n))
	return cells
}

func fieldCells(f field, as encoding, n int) (cells []cell) {
	for i := range n {
		cells = append(cells, cell{kind: cellField, of: f, as: as, at: i, mask: 0xff})
	}
	return cells
}

// toldCells are not known, which was said.
func toldCells(n int) []cell { return slices.Repeat([]cell{{told: true}}, n) }

func constCells(b ...byte) (cells []cell) {
	for _, c := range b {
		cells = append(cells, cell{kind: cellConst, value: c})
	}
	return cells
}

// group are cells of one field, or constants.
type group struct {
	cells []cell
	at    int // of the first
}

// groups divides cells by what they are of; false where one is not known.
func groups(cells []cell) (all []group, ok bool) {
	for i, c := range cells {
		if c.kind == cellUnknown {
			return nil, false
		}
		if top := len(all) - 1; top >= 0 {
			last := all[top].cells[len(all[top].cells)-1]
			if last.kind == c.kind && (c.kind == cellConst || last.of == c.of && last.as == c.as) {
				all[top].cells = append(all[top].cells, c)
				continue
			}
		}
		all = append(all, group{cells: []cell{c}, at: i})
	}
	return all, true
}

// within are the values of a group's field for which its bytes are from first to last, as the
// kernel compares: byte by byte; false where that is no set that is known.
func (m *model) within(g group, first, last []byte) (s set, ok bool) {
	if g.cells[0].kind == cellConst {
		value := make([]byte, len(g.cells))
		for i, c := range g.cells {
			value[i] = c.value
		}
		if slices.Compare(value, first) >= 0 && slices.Compare(value, last) <= 0 {
			return nil, true
		}
		return none(), true
	}
	f := g.cells[0].of
	if g.cells[0].as == asKind {
		const size = 4
		if len(g.cells) != size || !m.unaltered(g) || !slices.Equal(first, last) {
			return nil, false
		}
		return m.kind(binary.NativeEndian.Uint32(first))
	}
	if g.cells[0].as == asStatus && !onlyStatus(g) {
		return nil, false
	}
	plain := g.cells[0].as == asBytes
	for i, c := range g.cells {
		plain = plain && c.at == i && c.mask == 0xff && c.xor == 0
	}
	size := m.size(f)
	if plain {
		low, high := make([]byte, size), slices.Repeat([]byte{0xff}, size)
		copy(low, first)
		copy(high, last)
		return between(numberOf(low), numberOf(high)), true
	}
	if g.cells[0].as == asNative && slices.Equal(first, last) && m.whole(g) {
		return just(uint64(binary.NativeEndian.Uint32(first))), true
	}
	if s, ok := m.prefix(g, first, last); ok {
		return s, true
	}
	return m.enumerate(g, first, last)
}

// onlyStatus says whether a group asks for no other bits of a status than those that are known.
func onlyStatus(g group) bool {
	known := binary.NativeEndian.AppendUint32(nil, rules.StatusSourceNAT|rules.StatusDestinationNAT)
	return !slices.ContainsFunc(g.cells, func(c cell) bool { return c.mask&^known[c.at] != 0 })
}

// whole says whether a group is all of a number as it is.
func (m *model) whole(g group) bool { return m.unaltered(g) && len(g.cells) == m.size(g.cells[0].of) }

// unaltered says whether a group is the beginning of a number as it is.
func (m *model) unaltered(g group) bool {
	for i, c := range g.cells {
		if c.at != i || c.mask != 0xff || c.xor != 0 {
			return false
		}
	}
	return true
}

// prefix is within for a field of which the first bits are asked for to be equal.
func (m *model) prefix(g group, first, last []byte) (set, bool) {
	if g.cells[0].as != asBytes || !slices.Equal(first, last) {
		return nil, false
	}
	size := m.size(g.cells[0].of)
	low, high := make([]byte, size), slices.Repeat([]byte{0xff}, size)
	cut := false // whether a bit before was not asked for
	for i, c := range g.cells {
		if c.at != i || c.xor != 0 {
			return nil, false
		}
		for bit := byte(0x80); bit != 0; bit >>= 1 {
			switch {
			case c.mask&bit == 0:
				cut = true
				if first[i]&bit != 0 {
					return none(), true
				}
			case cut:
				return nil, false
			default:
				low[i] |= first[i] & bit
				high[i] &^= ^first[i] & bit
			}
		}
	}
	return between(numberOf(low), numberOf(high)), true
}

// enumerate tries each value of a field that has few.
func (m *model) enumerate(g group, first, last []byte) (set, bool) {
	f := g.cells[0].of
	if g.cells[0].as == asKind {
		return nil, false
	}
	const most = 1 << 16
	count := uint64(0)
	for _, x := range m.domain[f] {
		if n := x.last.minus(x.first); n >= most {
			return nil, false
		} else if count += n + 1; count > most {
			return nil, false
		}
	}
	made := none()
	bytes := make([]byte, len(g.cells))
	for _, x := range m.domain[f] {
		for n := x.first; ; n = n.next() {
			value := m.encode(f, g.cells[0].as, n)
			for i, c := range g.cells {
				bytes[i] = value[c.at]&c.mask ^ c.xor
			}
			if slices.Compare(bytes, first) >= 0 && slices.Compare(bytes, last) <= 0 {
				made = append(made, span{n, n})
			}
			if n == x.last {
				break
			}
		}
	}
	return made.tidy(), true
}

// size is how many bytes a field has in a packet.
func (m *model) size(f field) int {
	switch f {
	case fieldSrc, fieldDst:
		return addrSize(m.v6)
	case fieldSport, fieldDport:
		return 2
	case fieldIn, fieldOut, fieldState, fieldMark, fieldStatus:
		return 4
	}
	return 1
}

func (m *model) encode(f field, as encoding, n number) []byte {
	switch as {
	case asName:
		const size = 16 // IFNAMSIZ
		name := make([]byte, size)
		copy(name, m.name(n))
		return name
	case asType:
		return binary.NativeEndian.AppendUint16(nil, m.typeOf(n))
	case asNative, asStatus:
		return binary.NativeEndian.AppendUint32(nil, uint32(n.lo))
	}
	return n.bytes(m.size(f))
}
