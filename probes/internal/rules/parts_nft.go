package rules

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// dividing is a rule on its way through its expressions: which of its registers' bytes hold an
// address's.
type dividing struct {
	table *inspect.Table
	holds Registers[addressByte]
	had   map[string]bool // the sets that were looked into, and where
	found []Divider
	least *expr.Cmp
	// destination is true where sources do not count; negated, where the rule is about others than
	// it names.
	destination, negated bool
}

// addressByte is a byte of an address, and with what mask; its size is 0 where it is none.
type addressByte struct {
	size, at int
	mask     byte
}

func (d *dividing) step(e any) {
	if least := d.least; least != nil {
		d.least = nil
		if most, is := e.(*expr.Cmp); is && most.Register == least.Register && (most.Op == expr.CmpOpLte || most.Op == expr.CmpOpLt) {
			d.compare(least.Register, lowest(least), highest(most))
			return
		}
		d.compare(least.Register, lowest(least), filled(least.Data, 0xff))
	}
	switch e := e.(type) {
	case *expr.Payload:
		if e.OperationType != expr.PayloadWrite {
			d.payload(e)
		}
	case *expr.Ct:
		d.ct(e)
	case *expr.Meta:
		if !e.SourceRegister {
			d.holds.Load(e.Register, 4)
		}
	case *expr.Bitwise:
		d.bitwise(e)
	case *expr.Cmp:
		d.negated = d.negated || e.Op == expr.CmpOpNeq
		switch e.Op {
		case expr.CmpOpGte, expr.CmpOpGt:
			d.least = e
		case expr.CmpOpLte, expr.CmpOpLt:
			d.compare(e.Register, filled(e.Data, 0), highest(e))
		default:
			d.compare(e.Register, e.Data, e.Data)
		}
	case *expr.Range:
		d.compare(e.Register, e.FromData, e.ToData)
	case *expr.Lookup:
		d.lookup(e)
	case *expr.Numgen:
		d.holds.Load(e.Register, 4)
	case *expr.Hash:
		d.holds.Load(e.DestRegister, 4)
	}
}

// lowest and highest are the first and the last number that a comparison lets pass.
func lowest(e *expr.Cmp) []byte {
	if e.Op == expr.CmpOpGt {
		return nextTo(e.Data, 1)
	}
	return e.Data
}

func highest(e *expr.Cmp) []byte {
	if e.Op == expr.CmpOpLt {
		return nextTo(e.Data, -1)
	}
	return e.Data
}

// nextTo is the number after one, or before it.
func nextTo(number []byte, by int) []byte {
	next := slices.Clone(number)
	for i := len(next) - 1; i >= 0; i-- {
		sum := int(next[i]) + by
		if next[i] = byte(sum); sum >= 0 && sum <= 0xff {
			break
		}
	}
	return next
}

func filled(like []byte, with byte) []byte { return bytes.Repeat([]byte{with}, len(like)) }

// payload finds the addresses in the IP header: IPv4's by their place in front of where IPv6's
// begin, or as what a rule of IPv4 alone reads.
func (d *dividing) payload(e *expr.Payload) {
	part := d.holds.Load(e.DestRegister, int(e.Len))
	if e.Base != expr.PayloadBaseNetworkHeader {
		return
	}
	first, last := int(e.Offset), int(e.Offset+e.Len)
	places := [][2]int{{12, 4}, {16, 4}, {8, 16}, {24, 16}}
	if d.destination {
		places = [][2]int{{16, 4}, {24, 16}}
	}
	for _, a := range places {
		begins, size := a[0], a[1]
		fits := first >= begins && last <= begins+size || first == begins && last == begins+2*size // one, or both
		if begins+size == 16 && size == 4 && last == 20 {                                          // the source, with the destination behind it
			fits = first == begins
		}
		if !fits || size == 4 && d.table.Family == "ip6" || size == 16 && d.table.Family == "ip" {
			continue
		}
		for i := first; i < last && i-first < len(part); i++ {
			part[i-first] = addressByte{size, (i - begins) % size, 0xff}
		}
		return
	}
}

// ct are the addresses of a connection.
func (d *dividing) ct(e *expr.Ct) {
	if e.SourceRegister || d.destination {
		return
	}
	const v4Source, v4Destination, v6Source, v6Destination = 19, 20, 21, 22 // NFT_CT_SRC_IP and so on
	size := 0
	switch {
	case e.Key == v4Source || e.Key == v4Destination, (e.Key == expr.CtKeySRC || e.Key == expr.CtKeyDST) && d.table.Family == "ip":
		size = 4
	case e.Key == v6Source || e.Key == v6Destination, (e.Key == expr.CtKeySRC || e.Key == expr.CtKeyDST) && d.table.Family == "ip6":
		size = 16
	}
	part := d.holds.Load(e.Register, max(size, 4))
	for i := range min(size, len(part)) {
		part[i] = addressByte{size, i, 0xff}
	}
}

func (d *dividing) bitwise(e *expr.Bitwise) {
	held := slices.Clone(d.holds.Part(e.SourceRegister, int(e.Len)))
	part := d.holds.Load(e.DestRegister, int(e.Len))
	for i := range min(len(part), len(held)) {
		if part[i] = held[i]; i < len(e.Mask) {
			part[i].mask &= e.Mask[i]
		}
	}
}

// compare takes what a register is compared with.
func (d *dividing) compare(register uint32, from, to []byte) {
	at := offsetOf(register)
	for i := 0; i < len(from); i++ {
		if a, size := d.addresses(at+i, from[i:], to[min(i, len(to)):]); size > 0 {
			d.found = append(d.found, Divider{a})
			i += size - 1
		}
	}
}

// addresses are those that bytes of a key are, and how many bytes these are; 0 for none.
func (d *dividing) addresses(at int, from, to []byte) (Addresses, int) {
	if at >= registerBytes || d.holds[at].size == 0 {
		return Addresses{}, 0
	}
	begin := d.holds[at]
	low, high, mask := make([]byte, begin.size), make([]byte, begin.size), make([]byte, begin.size)
	n, masked := 0, false
	for ; n < len(from) && n < len(to) && at+n < registerBytes && begin.at+n < begin.size; n++ {
		is := d.holds[at+n]
		if is.size != begin.size || is.at != begin.at+n {
			break
		}
		low[begin.at+n], high[begin.at+n], mask[begin.at+n] = from[n], to[n], is.mask
		masked = masked || is.mask != 0xff
	}
	masked = masked || begin.at > 0
	for i := begin.at + n; i < begin.size; i++ {
		high[i] = 0xff
	}
	a := Addresses{}
	a.From, _ = netip.AddrFromSlice(low)
	a.To, _ = netip.AddrFromSlice(high)
	if bits, whole := onesOf(mask); masked && whole {
		a = Prefixed(netip.PrefixFrom(a.From, bits), "")
	} else if masked {
		a.Mask = mask
	}
	return a, n
}

// onesOf is how many ones a mask begins with, and whether these are all it has.
func onesOf(mask []byte) (ones int, whole bool) {
	for ; ones < len(mask)*8 && mask[ones/8]&(0x80>>(ones%8)) != 0; ones++ {
	}
	for i := ones; i < len(mask)*8; i++ {
		if mask[i/8]&(0x80>>(i%8)) != 0 {
			return ones, false
		}
	}
	return ones, true
}

// lookup takes those of a set's elements. What else is in an element's key, and what a map says of
// it, is the word.
func (d *dividing) lookup(e *expr.Lookup) {
	set := d.table.Sets[e.SetName]
	at := offsetOf(e.SourceRegister)
	if set == nil {
		return
	}
	for i := range registerBytes - min(at, registerBytes) {
		if d.holds[at+i].size == 0 || i > 0 && d.holds[at+i].at > 0 && d.holds[at+i-1].size == d.holds[at+i].size {
			continue // no address begins there
		}
		if key := fmt.Sprintf("%s %d %v", e.SetName, i, d.holds[at+i]); !d.had[key] {
			d.had[key] = true
			d.elements(set, at, i)
		}
	}
}

// elements are a set's as a divider, by the address that begins at a byte of its keys.
func (d *dividing) elements(set *inspect.Set, at, begin int) {
	var divider Divider
	for i := range set.Elements {
		element := &set.Elements[i]
		to := element.End
		if to == nil {
			to = element.Key
		}
		if element.CatchAll || begin >= len(element.Key) || begin >= len(to) {
			continue
		}
		a, size := d.addresses(at+begin, element.Key[begin:], to[begin:])
		if size == 0 {
			continue
		}
		a.Word = fmt.Sprintf("%x %x %x %x %x %v %v", element.Key[:begin], element.Key[begin+size:], to[:begin], to[begin+size:], element.Data, element.Verdict, element.Object)
		divider = append(divider, a)
	}
	if len(divider) > 0 {
		d.found = append(d.found, divider)
	}
}
