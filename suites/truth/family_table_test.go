package truth_test

import (
	"fmt"
	"slices"
	"strings"
)

// tables are rules at random: several to a chain, two chains to a table, of every hook.
var tables = family{"table", []row{
	{name: "rules at random", weight: 3, add: func(g *generator) {
		for range 1 + g.r.IntN(2) {
			n := pick(g.r, g.nodes...)
			if len(n.ports) == 0 || n.name == "relay" {
				continue
			}
			families := []string{"inet", "inet", "netdev"}
			if g.v4 {
				families = append(families, "ip")
			}
			if g.v6 {
				families = append(families, "ip6")
			}
			if n.name == "br" {
				families = []string{"bridge", "bridge", "netdev"}
			}
			g.nft(n.name, g.randomTable(n.name, pick(g.r, families...)))
		}
	}},
}}

func (g *generator) randomTable(at, family string) string {
	body := []string{"chain sub {\n" + strings.Join(g.randomRules(at, family, "sub", ""), "\n") + "\n}"}
	used := map[string]bool{}
	for i := range 1 + g.r.IntN(2) {
		hook := pick(g.r, "prerouting", "input", "forward", "forward", "output", "postrouting")
		if family == "netdev" {
			hook = fmt.Sprintf("ingress device %q", g.port(at))
		}
		if used[hook] {
			continue
		}
		used[hook] = true
		policy := pick(g.r, "accept", "accept", "accept", "drop")
		var lines []string
		if policy == "drop" {
			lines = discovery(family)
		}
		lines = append(lines, g.randomRules(at, family, hook, "sub")...)
		body = append(body, chain(fmt.Sprintf("c%d", i), "filter", hook, g.priority(family), policy, lines...))
	}
	return g.table(family, body...)
}

func (g *generator) randomRules(at, family, hook, sub string) (lines []string) {
	for range 1 + g.r.IntN(3) {
		verdict := g.randomVerdict(family, hook, sub)
		condition := g.randomCondition(at, family, hook)
		if strings.Contains(verdict, "tcp reset") && !strings.HasPrefix(condition, "tcp ") {
			verdict = "reject" // nft takes a reset for TCP alone
		}
		lines = append(lines, condition+" "+verdict)
	}
	return lines
}

func (g *generator) randomCondition(at, family, hook string) string {
	all := []string{g.simple(family, hook), g.simple(family, hook), "meta mark 1 meta l4proto { tcp, udp }", "tcp flags & (syn | ack) == (syn | ack)"}
	if family != "netdev" && family != "bridge" && hook != "sub" {
		all = append(all, "ct state "+pick(g.r, "new", "established", "established,related", "invalid")+" meta l4proto { icmp, tcp, udp }")
	}
	switch hook {
	case "prerouting", "input", "forward":
		all = append(all, fmt.Sprintf("iifname %q meta l4proto { icmp, udp }", g.port(at)))
	case "output", "postrouting":
		all = append(all, fmt.Sprintf("oifname %q meta l4proto { icmp, tcp }", g.port(at)))
	}
	return pick(g.r, all...)
}

func (g *generator) randomVerdict(family, hook, sub string) string {
	all := []string{"drop", "drop", "drop", "accept", "accept", "meta mark set 1", "counter", "counter drop" + g.comment()}
	if sub != "" {
		all = append(all, "jump "+sub, "goto "+sub)
	}
	// Not every kernel rejects at a bridge.
	if slices.Contains([]string{"input", "forward", "output"}, hook) && len(rejections[family]) > 0 {
		all = append(all, pick(g.r, rejections[family]...), pick(g.r, rejections[family]...), "reject with tcp reset")
	}
	return pick(g.r, all...)
}

// tree is a tree of hosts and routers, with sometimes a way around.
func tree(g *generator) {
	nodes := 3 + g.r.IntN(3)
	routes := func(i int) bool { return i == 0 || i%2 == 1 && g.seed%3 > 0 }
	on := make([][]string, nodes)
	link := func(a, b int) {
		name := fmt.Sprintf("s%d", len(g.segments))
		g.segment(name, false)
		on[a], on[b] = append(on[a], name), append(on[b], name)
	}
	for i := 1; i < nodes; i++ {
		if s := len(g.segments); s > 0 && g.chance(3) {
			on[i] = append(on[i], g.segments[g.r.IntN(s)].name) // a switch that is there
			continue
		}
		to := g.r.IntN(i)
		for i > 1 && !routes(to) {
			to = g.r.IntN(i)
		}
		link(to, i)
	}
	if a := g.r.IntN(nodes); g.chance(3) {
		link(a, (a+1+g.r.IntN(nodes-1))%nodes)
	}
	for i, segments := range on {
		g.on(fmt.Sprintf("n%d", i), routes(i), segments...)
	}
}
