package policy

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// number is a field's value: of 128 bits, since addresses are.
type number struct{ hi, lo uint64 }

func small(n uint64) number { return number{lo: n} }

func (n number) compare(o number) int {
	if n.hi != o.hi {
		return cmp.Compare(n.hi, o.hi)
	}
	return cmp.Compare(n.lo, o.lo)
}

func (n number) next() number {
	n.lo++
	if n.lo == 0 {
		n.hi++
	}
	return n
}

func (n number) before() number {
	if n.lo == 0 {
		n.hi--
	}
	n.lo--
	return n
}

// minus is the distance between two numbers, as far as 64 bits have it.
func (n number) minus(o number) uint64 {
	if n.hi != o.hi && (n.hi-o.hi > 1 || n.lo >= o.lo) {
		return ^uint64(0)
	}
	return n.lo - o.lo
}

func (n number) plus(d uint64) number {
	sum := number{n.hi, n.lo + d}
	if sum.lo < d {
		sum.hi++
	}
	return sum
}

// numberOf is a number as it stands in a packet, of up to 16 bytes.
func numberOf(b []byte) (n number) {
	for _, c := range b {
		n.hi = n.hi<<8 | n.lo>>56
		n.lo = n.lo<<8 | uint64(c)
	}
	return n
}

// bytes are its last ones.
func (n number) bytes(size int) []byte {
	const whole = 16
	b := binary.BigEndian.AppendUint64(nil, n.hi)
	return binary.BigEndian.AppendUint64(b, n.lo)[whole-size:]
}

func (n number) addr(v6 bool) netip.Addr {
	a, _ := netip.AddrFromSlice(n.bytes(addrSize(v6)))
	return a
}

func addrSize(v6 bool) int {
	if v6 {
		return 16
	}
	return 4
}

func addrNumber(a netip.Addr) number { return numberOf(a.AsSlice()) }

// span are the numbers from first to last.
type span struct{ first, last number }

// set are numbers: spans in order that do not touch. A nil set is every number that a
// field can have, an empty one is none.
type set []span

func none() set { return set{} }

func just(values ...uint64) set {
	s := none()
	for _, v := range values {
		s = append(s, span{small(v), small(v)})
	}
	return s.tidy()
}

func between(first, last number) set {
	if first.compare(last) > 0 {
		return none()
	}
	return set{{first, last}}
}

func prefixSet(p netip.Prefix) set {
	size := len(p.Addr().AsSlice())
	first := p.Masked().Addr().AsSlice()
	last := slices.Clone(first)
	for i := p.Bits(); i < size*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	return between(numberOf(first), numberOf(last))
}

// prefixes are the addresses of some.
func prefixes(all ...string) set {
	made := none()
	for _, p := range all {
		made = append(made, prefixSet(netip.MustParsePrefix(p))...)
	}
	return made.tidy()
}

// tidy orders spans and joins those that touch.
func (s set) tidy() set {
	slices.SortFunc(s, func(a, b span) int { return a.first.compare(b.first) })
	made := none()
	for _, x := range s {
		top := len(made) - 1
		switch {
		case top < 0 || made[top].last.compare(x.first) < 0 && made[top].last.next() != x.first:
			made = append(made, x)
		case made[top].last.compare(x.last) < 0:
			made[top].last = x.last
		}
	}
	return made
}

func (s set) or(o set) set {
	if s == nil || o == nil {
		return nil
	}
	return slices.Concat(s, o).tidy()
}

func (s set) and(o set) set {
	switch {
	case s == nil:
		return o
	case o == nil:
		return s
	}
	made := none()
	for i, j := 0, 0; i < len(s) && j < len(o); {
		first, last := s[i].first, s[i].last
		if o[j].first.compare(first) > 0 {
			first = o[j].first
		}
		if o[j].last.compare(last) < 0 {
			last = o[j].last
		}
		if first.compare(last) <= 0 {
			made = append(made, span{first, last})
		}
		if s[i].last.compare(o[j].last) < 0 {
			i++
		} else {
			j++
		}
	}
	return made
}

// without are the numbers of s that are not in o.
func (s set) without(o set) set {
	if o == nil {
		return none()
	}
	made := none()
	for _, x := range s {
		at := x.first
		over := false
		from, _ := slices.BinarySearchFunc(o, x.first, func(y span, n number) int { return y.last.compare(n) })
		for _, y := range o[from:] {
			if y.first.compare(x.last) > 0 {
				break
			}
			if y.first.compare(at) > 0 {
				made = append(made, span{at, y.first.before()})
			}
			if y.last.compare(x.last) >= 0 {
				over = true
				break
			}
			at = y.last.next()
		}
		if !over {
			made = append(made, span{at, x.last})
		}
	}
	return made
}

func (s set) has(n number) bool {
	if s == nil {
		return true
	}
	if len(s) == 1 {
		return s[0].first.compare(n) <= 0 && n.compare(s[0].last) <= 0
	}
	i, _ := slices.BinarySearchFunc(s, n, func(x span, n number) int { return x.last.compare(n) })
	return i < len(s) && s[i].first.compare(n) <= 0
}

// orNone is no number where nothing was said.
func (s set) orNone() set {
	if s == nil {
		return none()
	}
	return s
}

func (s set) isEmpty() bool { return s != nil && len(s) == 0 }
