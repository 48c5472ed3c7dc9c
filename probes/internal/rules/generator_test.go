package rules_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// generator makes rules whose values are near those of the packets.
type generator struct {
	*rand.Rand
	shots []*shot
}

func (g *generator) one(words ...string) string { return words[g.IntN(len(words))] }

func (g *generator) any() *shot { return g.shots[g.IntN(len(g.shots))] }

// rule is one that only counts.
func (g *generator) rule(hook string) string {
	l3, l4 := g.one("", "ip", "ip6"), g.one("", "", "tcp", "udp", "th")
	if l3 == "ip" && g.IntN(4) == 0 {
		l4 = "icmp"
	}
	if l3 == "ip6" && g.IntN(4) == 0 {
		l4 = "icmpv6"
	}
	var parts []string
	for range 1 + g.IntN(3) {
		parts = append(parts, g.condition(hook, l3, l4))
	}
	return strings.Join(parts, " ") + " counter"
}

func (g *generator) condition(hook, l3, l4 string) string {
	switch n := g.IntN(10); {
	case n < 3 && l4 != "":
		return g.upper(l4)
	case n < 6 && l3 != "":
		return g.lower(l3)
	case n == 6 && l3 != "" && (l4 == "tcp" || l4 == "udp"):
		return g.concatenation(l3, l4)
	case n == 7:
		return g.raw(l3, l4)
	}
	return g.meta(hook)
}

// number is a condition on a number, of any form.
func (g *generator) number(name string, values []int, most int) string {
	value := func() int { return max(0, min(most, values[g.IntN(len(values))]+[]int{0, 0, 0, 1, -1}[g.IntN(5)])) }
	low, high := value(), value()
	if low > high {
		low, high = high, low
	}
	switch g.IntN(7) {
	case 0:
		return fmt.Sprintf("%s != %d", name, low)
	case 1:
		return fmt.Sprintf("%s %s %d", name, g.one(">", "<", ">=", "<="), max(1, min(most-1, low)))
	case 2:
		if low < high {
			return fmt.Sprintf("%s %s%d-%d", name, g.one("", "!= "), low, high)
		}
	case 3:
		if low < high {
			return fmt.Sprintf("%s %s{ %d, %d }", name, g.one("", "!= "), low, high)
		}
	case 4:
		if low < high-1 {
			return fmt.Sprintf("%s %s{ %d, %d-%d }", name, g.one("", "!= "), low, low+1, high)
		}
	}
	return fmt.Sprintf("%s %d", name, low)
}

func (g *generator) ports(source bool) (values []int) {
	for _, s := range g.shots {
		port := s.DstPort
		if source {
			port = s.SrcPort
		}
		values = append(values, int(*port))
	}
	return values
}

func (g *generator) upper(l4 string) string {
	switch l4 {
	case "icmp", "icmpv6":
		return l4 + " type " + g.one("echo-request", "echo-reply", "{ echo-request, echo-reply }", "!= echo-request")
	case "th":
		return "meta l4proto { tcp, udp } " + g.number("th dport", g.ports(false), 65535)
	case "tcp":
		if g.IntN(5) == 0 {
			return g.one("tcp flags syn", "tcp flags & (syn|ack) == syn", "tcp flags != syn", "tcp flags ! ack")
		}
	}
	if g.IntN(6) == 0 {
		return fmt.Sprintf("%s dport vmap { %d : continue, 30000-40000 : continue }", l4, *g.any().DstPort)
	}
	source := g.IntN(3) == 0
	return g.number(l4+map[bool]string{true: " sport", false: " dport"}[source], g.ports(source), 65535)
}

// address is one of the packets', of the family, or beside it.
func (g *generator) address(l3 string) netip.Addr {
	s := g.any()
	a := []netip.Addr{s.Src, s.Dst}[g.IntN(2)]
	if a.Is4() != (l3 == "ip") {
		a = netip.MustParseAddr(map[string]string{"ip": "10.0.1.1", "ip6": "fd00:1::1"}[l3])
	}
	if g.IntN(4) == 0 {
		a = a.Next()
	}
	return a
}

func (g *generator) lower(l3 string) string {
	switch g.IntN(4) {
	case 0:
		return g.number(map[string]string{"ip": "ip ttl", "ip6": "ip6 hoplimit"}[l3], []int{int(*g.any().TTL), int(*g.any().TTL)}, 255)
	case 1:
		return l3 + " dscp " + g.one("0", "8", "11", "46", "!= 0", "{ 8, 46 }")
	case 2:
		return g.one("ip protocol { tcp, icmp }", "ip protocol udp", "ip6 nexthdr tcp", "ip6 nexthdr != udp")
	}
	return l3 + g.one(" saddr ", " daddr ") + g.network(l3)
}

func (g *generator) network(l3 string) string {
	a, b := g.address(l3), g.address(l3)
	if b.Less(a) {
		a, b = b, a
	}
	switch g.IntN(5) {
	case 0:
		prefix, _ := a.Prefix(1 + g.IntN(a.BitLen()-1))
		return g.one("", "!= ") + prefix.String()
	case 1:
		if a != b {
			return fmt.Sprintf("%s%s-%s", g.one("", "!= "), a, b)
		}
	case 2:
		if a != b {
			return fmt.Sprintf("%s{ %s, %s }", g.one("", "!= "), a, b)
		}
	}
	return a.String()
}

func (g *generator) concatenation(l3, l4 string) string {
	a, port := g.address(l3), *g.any().DstPort
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("%s daddr . %s dport %s{ %s . %d, %s . %d }", l3, l4, g.one("", "!= "), a, port, a.Next(), port)
	case 1:
		return fmt.Sprintf("%s saddr . %s daddr . %s dport { %s . %s . %d }", l3, l3, l4, g.address(l3), a, port)
	case 2:
		return fmt.Sprintf("%s daddr . %s dport { %s-%s . %d-%d }", l3, l4, a, a.Next().Next(), min(port, 65000)-1, min(port, 65000)+100)
	}
	return fmt.Sprintf("meta l4proto . th dport { %s . %d, 47 . 1 }", l4, port)
}

// raw compares bytes of a header.
func (g *generator) raw(l3, l4 string) string {
	size := []int{8, 16, 32}[g.IntN(3)]
	s := g.any()
	if l4 != "" || l3 == "" {
		return fmt.Sprintf("meta l4proto %s @th,%d,%d %s %d", g.one("tcp", "udp", "icmp"), 8*g.IntN(8), size, g.one("==", "!=", ">", "<"), 1+int(*s.DstPort)%250)
	}
	return fmt.Sprintf("meta nfproto %s @nh,%d,%d %s %d", map[string]string{"ip": "ipv4", "ip6": "ipv6"}[l3], 8*g.IntN(16), size, g.one("==", "!=", ">", "<"), 1+int(*s.TTL)%250)
}

func (g *generator) meta(hook string) string {
	switch g.IntN(8) {
	case 0:
		return g.number("meta mark", []int{0, 1, 7, 0x100}, 0x1000)
	case 1:
		return "meta mark & 0x7 " + g.one("== 1", "!= 0", "== 7")
	case 2:
		return g.number("meta length", []int{int(*g.any().DstPort)%300 + 28, 60, 100, 200}, 65535)
	case 3:
		return "ct state " + g.one("new", "established,related", "!= new", "{ new, established }", "invalid")
	case 4:
		return "meta l4proto " + g.one("tcp", "udp", "{ tcp, udp }", "!= udp", "icmp", "{ icmp, icmpv6 }")
	case 5:
		return "meta nfproto " + g.one("ipv4", "ipv6")
	case 6:
		return "meta protocol " + g.one("ip", "ip6", "!= ip")
	}
	if hook == "output" || hook == "postrouting" {
		return g.one(`oifname "w"`, `oifname "w*"`, `oifname != "w"`, `oifname { "w", "x" }`, "meta skuid 0", "meta skuid != 0", "meta skuid 1000", `iifname "w"`)
	}
	return g.one(`iifname "w"`, `iifname "w*"`, `iifname != "w"`, `iifname { "w", "x" }`, `oifname "w"`, `oifname != "x"`, "ct direction original")
}
