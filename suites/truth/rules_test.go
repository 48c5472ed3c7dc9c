package truth_test

import (
	"fmt"
	"slices"
	"strings"
)

// table is the text of a table, with a name that no other of the world has.
func (g *generator) table(family string, body ...string) string {
	return fmt.Sprintf("table %s t%d {\n%s\n}\n", family, len(g.parts), strings.Join(body, "\n"))
}

// chain is the text of a base chain.
func chain(name, kind, hook string, priority int, policy string, lines ...string) string {
	return fmt.Sprintf("chain %s {\ntype %s hook %s priority %d; policy %s;\n%s\n}", name, kind, hook, priority, policy, strings.Join(lines, "\n"))
}

// filter is a base chain with its table, at a hook.
func (g *generator) filter(family, hook, policy string, lines ...string) string {
	return g.table(family, chain("c", "filter", hook, g.priority(family), policy, lines...))
}

func (g *generator) priority(family string) int {
	if family == "bridge" {
		return pick(g.r, -200, 0, 10)
	}
	return pick(g.r, -300, -150, 0, 0, 0, 10)
}

// layer3 is a family that sees the world's packets.
func (g *generator) layer3() string {
	all := []string{"inet", "inet"}
	if g.v4 {
		all = append(all, "ip")
	}
	if g.v6 {
		all = append(all, "ip6")
	}
	return pick(g.r, all...)
}

// hook is where a filter may stand at a node.
func (g *generator) hook(name string) string {
	if g.node(name).router {
		return pick(g.r, "forward", "forward", "forward", "prerouting", "postrouting", "input", "output")
	}
	return pick(g.r, "input", "input", "output", "prerouting", "postrouting")
}

// simple is a condition that leaves neighbour discovery alone.
func (g *generator) simple(family, hook string) string {
	all := []string{"tcp dport 80", "tcp dport 80", "udp dport 53", "udp dport 53", "meta l4proto tcp", "meta l4proto udp", "meta l4proto { tcp, udp }",
		"tcp dport { 80, 81 }", "udp sport 53", "tcp sport 80", "meta l4proto { tcp, udp } th dport 53-81",
		"tcp flags & (syn | ack) == syn", "udp length > 20"}
	if family != "ip6" && g.v4 {
		all = append(all, "icmp type echo-request", "icmp type echo-reply", "icmp type { echo-request, echo-reply }")
	}
	if family != "ip" && g.v6 {
		all = append(all, "icmpv6 type echo-request", "icmpv6 type echo-reply")
	}
	if a := g.addressed4(family, hook); a != "" {
		all = append(all, a, a)
	}
	return pick(g.r, all...)
}

// addressed4 is a condition on the address of some node, of either family.
func (g *generator) addressed4(family, _ string) string {
	v6 := g.family()
	if family == "ip" || family == "ip6" {
		v6 = family == "ip6"
	}
	addr := g.addr(pick(g.r, g.nodes...).name, v6)
	if addr == "" {
		return ""
	}
	word := "ip"
	if v6 {
		word = "ip6"
	}
	return fmt.Sprintf("%s %s %s meta l4proto %s", word, pick(g.r, "saddr", "daddr"), addr, pick(g.r, "{ tcp, udp }", "{ udp, icmp, icmpv6 }", "tcp"))
}

// rejections are ways to say no, by family.
var rejections = map[string][]string{
	"inet": {"reject", "reject with icmpx admin-prohibited", "reject with icmpx host-unreachable", "reject with icmpx no-route"},
	"ip":   {"reject", "reject with icmp admin-prohibited", "reject with icmp net-unreachable", "reject with icmp host-prohibited"},
	"ip6":  {"reject", "reject with icmpv6 admin-prohibited", "reject with icmpv6 no-route"},
}

// end is a verdict that ends a packet, mostly counted.
func (g *generator) end(family, hook string) string {
	verdict := "drop"
	if g.chance(4) && slices.Contains([]string{"input", "forward", "output"}, hook) && rejections[family] != nil {
		verdict = pick(g.r, rejections[family]...)
	}
	return g.counted() + verdict + g.comment()
}

func (g *generator) counted() string { return pick(g.r, "counter ", "counter ", "counter ", "") }

func (g *generator) comment() string {
	if g.chance(3) {
		return fmt.Sprintf(" comment \"no %d\"", g.r.IntN(1000))
	}
	return ""
}

// discovery lets neighbours be found through a chain that drops the rest.
func discovery(family string) []string {
	switch family {
	case "bridge", "netdev":
		return []string{"ether type arp accept", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"}
	case "ip":
		return nil
	}
	return []string{"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"}
}
