package policy

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// How long packets can be that are sent: not longer than an Ethernet's.
const mostLength = 1500

// lengthCells are of a packet's length, which stands there less what is before.
func lengthCells(name string, as encoding, n int, before uint16) (cells []cell) {
	for i := range n {
		cells = append(cells, cell{name: name, as: as, at: i, length: true, before: before})
	}
	return cells
}

// swapped are bytes in the network's order that were in the machine's: of those nothing is known but a length.
func swapped(of []cell) []cell {
	const number = 4
	made := make([]cell, len(of))
	for i, x := range of {
		made[i].name = x.name
		if x.length && x.as == asNative && x.at == i && len(of) == number {
			made[i] = lengthCells(x.name, asBytes, number, x.before)[i]
		}
	}
	return made
}

// lengthIn notes that a rule asks for packets of a length in a range, or with not for others: it is tried by such, and no more is held of it.
func (c *compiler) lengthIn(cells []cell, first, last []byte, not bool) {
	const short, long = 2, 4
	value := func(b []byte) uint64 {
		if cells[0].as == asNative && len(b) == long {
			return uint64(binary.NativeEndian.Uint32(b))
		}
		return numberOf(b).lo
	}
	whole := len(cells) == len(first) && (len(cells) == short || len(cells) == long)
	for i, x := range cells {
		whole = whole && x.length && x.at == i
	}
	if whole && (cells[0].as != asNative || slices.Equal(first, last)) {
		before := uint64(cells[0].before)
		c.lengthOf(between(small(value(first)+before), small(value(last)+before)), not)
	}
}

// lengthOf keeps lengths.
func (c *compiler) lengthOf(among set, not bool) {
	if not {
		among = anyLength().without(among)
	}
	c.line.lengths = anyLength().and(c.line.lengths).and(among)
}

// anyLength are all that IPv4 has.
func anyLength() set { return between(number{}, small(0xffff)) }

// xtLength notes the length that iptables' match of that name asks for: struct xt_length_info.
func (c *compiler) xtLength(x *expr.Match) {
	const size, not = 5, 4
	info, ok := x.Info.(*xt.Unknown)
	if x.Name != "length" || !ok || len(*info) < size {
		return
	}
	low, high := binary.NativeEndian.Uint16((*info)[0:]), binary.NativeEndian.Uint16((*info)[2:])
	c.lengthOf(between(small(uint64(low)), small(uint64(high))), (*info)[not] != 0)
}

// lengthen gives a packet the length that a search wants, where it has another.
func (s *search) lengthen(p Packet) Packet {
	if s.lengths == nil || p.Short || p.quote != nil {
		return p
	}
	if usual := len(p.build(0)); !s.lengths.has(small(uint64(usual))) {
		if longer := s.lengths.and(between(small(uint64(usual)), small(mostLength))); !longer.isEmpty() {
			p.Length = int(longer[0].first.lo)
		}
	}
	return p
}

// shorten takes lengths out of those that are wanted, of which a rule took a packet; false where that leaves none that is new.
func (s *search) shorten(by []*line) bool {
	if len(by) == 0 || by[0].lengths == nil || by[0] == s.goal.line {
		return false
	}
	all := s.lengths
	if all == nil {
		all = anyLength()
	}
	rest := all.without(by[0].lengths)
	if slices.Equal(rest, all) || rest.and(between(number{}, small(mostLength))).isEmpty() {
		return false
	}
	s.lengths, s.unsure = rest, true
	return true
}

// pad has the upper header carry so much that the packet is as long as it is to be.
func (p *Packet) pad(upper []byte) []byte {
	const header4, header6, udpLength = 20, 40, 4
	want := p.Length - header4
	if p.Source.Addr().Is6() {
		want = p.Length - header6
	}
	if want <= len(upper) {
		return upper
	}
	upper = append(upper, make([]byte, want-len(upper))...)
	if p.Protocol == protoUDP {
		binary.BigEndian.PutUint16(upper[udpLength:], uint16(want))
	}
	return upper
}
