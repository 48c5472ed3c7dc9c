package rules

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
)

// Addresses are those from one to another, or those of which the bits of a mask are as in From.
type Addresses struct {
	From, To netip.Addr
	Mask     []byte // nil where it is from one to another
	// Word is what becomes of them, where that is not the same for all of a Divider.
	Word string
}

// Divider is what tells addresses apart: a comparison, a set, the routes of a table. Those that
// none of it contains are one part, and so are those of one word.
type Divider []Addresses

// Prefixed are the addresses of a prefix.
func Prefixed(prefix netip.Prefix, word string) Addresses {
	first := prefix.Masked().Addr()
	last := first.AsSlice()
	for i := prefix.Bits(); i < first.BitLen(); i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return Addresses{From: first, To: to, Word: word}
}

// Contains says whether an address is one of them.
func (a Addresses) Contains(addr netip.Addr) bool {
	if addr.BitLen() != a.From.BitLen() {
		return false
	}
	if a.Mask == nil {
		return a.From.Compare(addr) <= 0 && addr.Compare(a.To) <= 0
	}
	of, is := a.From.AsSlice(), addr.AsSlice()
	for i, mask := range a.Mask {
		if (of[i]^is[i])&mask != 0 {
			return false
		}
	}
	return true
}

// documented are addresses that nobody has (RFC 5737, RFC 3849), for parts so wide that their
// first is of no use.
var documented = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}

// OneOfEach are addresses of a prefix, one of each part that dividers tell apart: the second of
// all, then in their order the first of each that is of use.
func OneOfEach(prefix netip.Prefix, by []Divider, ofUse func(netip.Addr) bool) (addrs []netip.Addr) {
	return Prefixed(prefix, "").OneOfEach(by, ofUse)
}

// OneOfEach is OneOfEach for addresses from one to another.
func (all Addresses) OneOfEach(by []Divider, ofUse func(netip.Addr) bool) (addrs []netip.Addr) {
	near := nearTo(all, by)
	var told []Addresses
	for _, d := range near {
		told = append(told, d.list...)
	}
	begins := []netip.Addr{all.From}
	add := func(addr netip.Addr) {
		if addr.IsValid() && all.Contains(addr) {
			begins = append(begins, addr)
		}
	}
	for _, a := range told {
		if a.Mask == nil {
			add(a.From)
			add(a.To.Next())
		}
	}
	for _, addr := range documented {
		add(addr)
	}
	for _, a := range told {
		if a.Mask == nil || len(begins) > mostBegins {
			continue
		}
		for _, begin := range slices.Clone(begins) {
			for _, addr := range masks(begin, a) {
				add(addr)
			}
		}
	}
	slices.SortFunc(begins, netip.Addr.Compare)
	first := all.From.Next()
	begins = slices.Compact(begins)
	if all.Contains(first) {
		begins = slices.Insert(slices.DeleteFunc(begins, func(a netip.Addr) bool { return a == first }), 0, first)
	}
	had := map[string]bool{}
	for _, addr := range begins {
		if part := partOf(addr, near); !had[part] && ofUse(addr) {
			had[part] = true
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// Unlike are of some addresses those that dividers tell apart, the first of each part.
func Unlike(addrs []netip.Addr, by []Divider) (unlike []netip.Addr) {
	had := map[string]bool{}
	for _, addr := range addrs {
		part := fmt.Sprint(addr.Is6()) + partOf(addr, nearTo(Addresses{From: addr, To: addr}, by))
		if !had[part] {
			had[part] = true
			unlike = append(unlike, addr)
		}
	}
	return unlike
}

// mostBegins bounds how many addresses are looked at where masks tell them apart.
const mostBegins = 4096

// masks are the next addresses from one on that have a mask's bits as they are to be, and that
// have not.
func masks(addr netip.Addr, a Addresses) (addrs []netip.Addr) {
	const most = 512
	at, seen := addr.AsSlice(), map[bool]bool{}
	for range most {
		next, _ := netip.AddrFromSlice(at)
		if is := a.Contains(next); !seen[is] {
			seen[is], addrs = true, append(addrs, next)
		}
		if len(seen) == 2 || !stepOver(at, a.Mask) {
			break
		}
	}
	return addrs
}

// stepOver goes to the next address of which a mask's bits are others; false where there is none.
func stepOver(at, mask []byte) bool {
	for i := len(at) - 1; i >= 0; i-- {
		if i >= len(mask) || mask[i] == 0 {
			continue
		}
		by := int(mask[i] & -mask[i])
		clear(at[i+1:])
		at[i] &^= byte(by - 1)
		for ; i >= 0; i-- {
			sum := int(at[i]) + by
			if at[i] = byte(sum); sum <= 0xff {
				return true
			}
			by = 1
		}
	}
	return false
}

// partOf is a word for the part that an address is of.
func partOf(addr netip.Addr, by []sorted) string {
	var text strings.Builder
	for _, d := range by {
		for _, word := range d.words(addr) {
			fmt.Fprintf(&text, "%d %q\n", d.number, word)
		}
	}
	return text.String()
}

// sorted are a divider's addresses by their first, as far as they matter to a prefix; those by a
// mask come before.
type sorted struct {
	number int // the divider's
	list   []Addresses
}

func nearTo(all Addresses, by []Divider) (near []sorted) {
	for i, d := range by {
		s := sorted{number: i}
		for _, a := range d {
			if a.From.BitLen() == all.From.BitLen() && (a.Mask != nil || a.From.Compare(all.To) <= 0 && all.From.Compare(a.To) <= 0) {
				s.list = append(s.list, a)
			}
		}
		if len(s.list) > 0 {
			slices.SortStableFunc(s.list, func(a, b Addresses) int {
				return cmp.Or(rankOf(a.Mask != nil)-rankOf(b.Mask != nil), a.From.Compare(b.From))
			})
			near = append(near, s)
		}
	}
	return near
}

// words are those of what contains an address, each once.
func (s sorted) words(addr netip.Addr) (words []string) {
	for _, a := range s.list {
		if a.Mask == nil && addr.Less(a.From) {
			break
		}
		if a.Contains(addr) && !slices.Contains(words, a.Word) {
			words = append(words, a.Word)
		}
	}
	return words
}

// Dividers are what a ruleset's rules tell addresses apart by, sources as well as destinations.
func Dividers(set *inspect.Ruleset) (all []Divider) {
	for _, table := range set.Tables {
		had := map[string]bool{}
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				d := dividing{table: table, had: had}
				for _, e := range rule.Exprs {
					d.step(e)
				}
				all = append(all, d.found...)
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				for _, option := range rule.Options {
					if a, ok := legacyAddresses(option); ok {
						all = append(all, Divider{a})
					}
				}
			}
		}
	}
	return all
}

// legacyAddresses are those that an option of iptables names.
func legacyAddresses(o inspect.LegacyOption) (Addresses, bool) {
	if len(o.Values) != 1 {
		return Addresses{}, false
	}
	switch o.Name {
	case "-s", "-d", "--ctorigsrc", "--ctorigdst":
		addr, mask, _ := strings.Cut(o.Values[0], "/")
		if prefix, err := netip.ParsePrefix(o.Values[0]); err == nil {
			return Prefixed(prefix, ""), true
		}
		from, err := netip.ParseAddr(addr)
		if bits, wrong := netip.ParseAddr(mask); err == nil && wrong == nil {
			return Addresses{From: from, Mask: bits.AsSlice()}, true
		}
		return Addresses{From: from, To: from}, err == nil
	case "--src-range", "--dst-range":
		first, last, _ := strings.Cut(o.Values[0], "-")
		from, err := netip.ParseAddr(first)
		to, wrong := netip.ParseAddr(last)
		return Addresses{From: from, To: to}, err == nil && wrong == nil
	}
	return Addresses{}, false
}
