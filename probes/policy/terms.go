package policy

import (
	"fmt"
	"net/netip"
	"strings"
)

// prefixAround is the longest one that has all addresses of a span.
func prefixAround(x span, v6 bool) netip.Prefix {
	first, last := x.first.addr(v6), x.last.addr(v6)
	for bits := first.BitLen(); ; bits-- {
		if p := netip.PrefixFrom(first, bits).Masked(); p.Contains(last) {
			return p
		}
	}
}

// flagsText are TCP's flags: "SYN,!ACK or FIN".
func flagsText(s, _ set) string {
	var words []string
	for _, c := range cubes(s, 0, 0) {
		words = append(words, c.String())
	}
	return strings.Join(words, " or ")
}

// cube are the flags that have some bits set, and some not.
type cube struct{ bits, mask uint8 }

// cubes divide a set of flags, bit by bit: first by that of which one side is whole or empty.
func cubes(s set, bits, mask uint8) []cube {
	switch in, all := inCube(s, bits, mask); in {
	case 0:
		return nil
	case all:
		return []cube{{bits, mask}}
	}
	best, purest := uint8(0), -1
	for bit := range 8 {
		one := uint8(1) << bit
		if mask&one != 0 {
			continue
		}
		pure := 0
		for _, side := range []uint8{bits, bits | one} {
			if in, all := inCube(s, side, mask|one); in == 0 || in == all {
				pure++
			}
		}
		if pure > purest {
			best, purest = one, pure
		}
	}
	return append(cubes(s, bits|best, mask|best), cubes(s, bits, mask|best)...)
}

// inCube counts the flags of a cube, and those of them that are in a set.
func inCube(s set, bits, mask uint8) (in, all int) {
	for n := range 256 {
		if uint8(n)&mask == bits {
			if all++; s.has(small(uint64(n))) {
				in++
			}
		}
	}
	return in, all
}

// String are the flags by their letters: of one that is not set with "!" before it.
func (c cube) String() string {
	var words []string
	for i, letter := range flagLetters {
		switch one := uint8(1) << i; {
		case c.mask&one == 0:
		case c.bits&one != 0:
			words = append(words, letter)
		case c.mask != 0xff:
			words = append(words, "!"+letter)
		}
	}
	text := strings.Join(words, ",")
	switch {
	case c.mask == 0xff && text == "":
		return "none"
	case c.mask == 0xff:
		return text + " alone"
	}
	return text
}

// typeWords are nft's for ICMP's types.
var typeWords = [2]map[uint64]string{
	{
		0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request", 9: "router-advertisement",
		10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply",
	},
	{
		1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem", 128: "echo-request", 129: "echo-reply",
		130: "mld-listener-query", 131: "mld-listener-report", 132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert",
		135: "nd-neighbor-solicit", 136: "nd-neighbor-advert", 137: "nd-redirect", 143: "mld2-listener-report",
	},
}

// typesText are ICMP's types: few by their names.
func typesText(v6 bool, x span) string {
	const few = 5
	say := func(n number) string { return typeWord(v6, n.lo) }
	if x.last.minus(x.first) >= few {
		return spanText(x, say)
	}
	var words []string
	for n := x.first; n.compare(x.last) <= 0; n = n.next() {
		words = append(words, say(n))
	}
	return strings.Join(words, ", ")
}

func typeWord(v6 bool, n uint64) string {
	if word := typeWords[family(v6)][n]; word != "" {
		return word
	}
	return fmt.Sprintf("type %d", n)
}
