package truth_test

import "fmt"

// filters are rules and policies as most have them.
var filters = family{"filter", []row{
	{name: "drop rule", weight: 4, add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		hook := g.hook(at)
		g.nft(at, g.filter(family, hook, "accept", g.simple(family, hook)+" "+g.end(family, hook)))
	}},
	{name: "policy drop with what is let through", weight: 3, add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		hook := g.hook(at)
		lines := append(discovery(family), g.simple(family, hook)+" accept", "ct state established,related accept")
		g.nft(at, g.filter(family, hook, "drop", lines[:len(lines)-g.r.IntN(2)]...))
	}},
	{name: "accept by source port", add: func(g *generator) {
		at := g.anyRouter()
		hook := g.hook(at)
		g.nft(at, g.filter("inet", hook, "drop", append(discovery("inet"), pick(g.r, "udp sport 53 accept", "udp sport 53 accept", "tcp dport 8443 accept", "tcp sport 80 accept"))...))
		g.wonder(every)
	}},
	{name: "two tables at one hook", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		hook := g.hook(at)
		for range 2 {
			family := g.layer3()
			g.nft(at, g.filter(family, hook, "accept", g.simple(family, hook)+" "+pick(g.r, "accept", g.end(family, hook)), g.simple(family, hook)+" "+g.end(family, hook)))
		}
	}},
	{name: "several chains of a table", add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		first, second := g.hook(at), g.hook(at)
		g.nft(at, g.table(family,
			chain("one", "filter", first, -10, "accept", g.simple(family, first)+" "+g.end(family, first)),
			chain("two", "filter", second, 5, "accept", g.simple(family, second)+" "+g.end(family, second))))
	}},
	{name: "drop by interface", add: func(g *generator) {
		at := g.anyRouter()
		word, hook := "iifname", pick(g.r, "forward", "input", "prerouting")
		if g.chance(3) {
			word, hook = "oifname", pick(g.r, "forward", "output", "postrouting")
		}
		family := g.layer3()
		g.nft(at, g.filter(family, hook, "accept", fmt.Sprintf("%s %q icmpv6 type echo-request %s", word, g.port(at), g.end(family, hook)),
			fmt.Sprintf("%s %q meta l4proto { tcp, udp } %s", word, g.port(at), g.end(family, hook))))
	}},
	{name: "drop at a device's ingress", add: func(g *generator) {
		at := pick(g.r, g.nodes...).name
		g.nft(at, g.table("netdev", chain("c", "filter", fmt.Sprintf("ingress device %q", g.port(at)), 0, "accept", g.simple("netdev", "ingress")+" counter drop")))
	}},
	{name: "drop of a user's packets", add: func(g *generator) {
		at, _ := g.wonder(pick(g.r, tcp, udp))
		if at == "" {
			at = pick(g.r, g.nodes...).name
		}
		g.nft(at, g.filter("inet", "output", "accept", "meta skuid "+pick(g.r, "0", "0", "1000")+" meta l4proto { tcp, udp } counter drop"))
	}},
	{name: "only a user's packets are let through", add: func(g *generator) {
		if at, _ := g.wonder(pick(g.r, tcp, udp)); at != "" {
			g.nft(at, g.filter("inet", "output", "drop", append(discovery("inet"), "meta skuid 1000 accept", "ct state established accept")...))
		}
	}},
}}

// matches are conditions of other kinds.
var matches = family{"match", []row{
	{name: "set of ports", add: func(g *generator) {
		g.match("set ports { type inet_service; elements = { 53, 80 }; }", "meta l4proto { tcp, udp } th dport @ports")
	}},
	{name: "set of protocol and port", add: func(g *generator) {
		g.match("set what { type inet_proto . inet_service; elements = { tcp . 80, udp . 54 }; }", "meta l4proto . th dport @what")
	}},
	{name: "set of addresses", add: func(g *generator) {
		v6 := g.family()
		kind, word := "ipv4_addr", "ip"
		if v6 {
			kind, word = "ipv6_addr", "ip6"
		}
		if a := g.addr(pick(g.r, g.nodes...).name, v6); a != "" {
			g.match(fmt.Sprintf("set who { type %s; elements = { %s }; }", kind, a), word+" "+pick(g.r, "saddr", "daddr")+" @who meta l4proto { tcp, udp, icmp }")
		}
	}},
	{name: "verdict map", add: func(g *generator) {
		g.match("map ways { type inet_service : verdict; elements = { 80 : drop, 53 : accept, 54 : drop }; }", "meta l4proto { tcp, udp } th dport vmap @ways", "")
	}},
	{name: "anonymous verdict map", add: func(g *generator) {
		g.match("", fmt.Sprintf("meta l4proto vmap { tcp : %s, udp : %s, icmp : %s }", pick(g.r, "drop", "accept"), pick(g.r, "drop", "accept"), pick(g.r, "drop", "accept")), "")
	}},
	{name: "map of marks", add: func(g *generator) {
		g.match("map marks { type inet_service : mark; elements = { 80 : 0x1, 53 : 0x2 }; }", "meta l4proto { tcp, udp } meta mark set th dport map @marks", "", "meta mark "+pick(g.r, "1", "2")+" counter drop")
	}},
	{name: "connection state", weight: 2, add: func(g *generator) {
		g.match("", pick(g.r, "ct state new", "ct state established", "ct state invalid", "ct state established ct direction reply", "ct direction reply")+" meta l4proto { tcp, udp, icmp }")
	}},
	{name: "connection mark", add: func(g *generator) {
		g.match("", "tcp dport 80 ct mark set 7", "", "ct mark 7 counter drop")
	}},
	{name: "later packets of a connection", weight: 2, add: func(g *generator) {
		g.wonder(tcp)
		g.match("", pick(g.r, "ct original packets > 2 meta l4proto tcp", "ct state established meta length > 60 meta l4proto tcp", "tcp flags & (syn | ack | psh) == ack | psh"))
	}},
	{name: "payload", add: func(g *generator) {
		g.match("", pick(g.r, "@th,16,16 80 meta l4proto tcp", "@th,16,16 53 meta l4proto udp", "meta length < 70 meta l4proto { tcp, udp }"))
	}},
}}

// match puts a drop with a condition at a node's hook.
func (g *generator) match(set, condition string, verdict ...string) {
	at := g.anyRouter()
	hook, family := g.hook(at), "inet" // whatever the condition names
	lines := []string{condition}
	if len(verdict) == 0 {
		verdict = []string{g.end(family, hook)}
	}
	lines[0] += " " + verdict[0]
	lines = append(lines, verdict[1:]...)
	g.nft(at, g.table(family, set, chain("c", "filter", hook, pick(g.r, -100, 0, 10), "accept", lines...)))
}

// chains lead packets about.
var chains = family{"chain", []row{
	{name: "jump", weight: 2, add: func(g *generator) { g.lead("jump") }},
	{name: "goto", add: func(g *generator) { g.lead("goto") }},
	{name: "jump that returns", add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		hook := g.hook(at)
		g.nft(at, g.table(family, "chain sub {\n"+g.simple(family, hook)+" return\nmeta l4proto { tcp, udp } counter drop\n}",
			chain("c", "filter", hook, 0, "accept", "jump sub", g.simple(family, hook)+" "+g.end(family, hook))))
	}},
	{name: "mark that a later chain drops", add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		g.nft(at, g.table(family, chain("one", "filter", "prerouting", -200, "accept", g.simple(family, "prerouting")+" meta mark set 5"),
			chain("two", "filter", pick(g.r, "forward", "postrouting", "input"), 0, "accept", "meta mark 5 counter drop")))
	}},
}}

func (g *generator) lead(how string) {
	at, family := g.anyRouter(), g.layer3()
	hook := g.hook(at)
	g.nft(at, g.table(family, "chain deep {\n"+g.simple(family, hook)+" "+g.end(family, hook)+"\n}", "chain sub {\n"+g.simple(family, hook)+" jump deep\n"+g.simple(family, hook)+" "+g.end(family, hook)+"\n}",
		chain("c", "filter", hook, 0, pick(g.r, "accept", "accept", "accept", "drop"), append(discovery(family), g.simple(family, hook)+" "+how+" sub")...)))
}

// rejects say no aloud.
var rejects = family{"reject", []row{
	{name: "reject", add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		hook := pick(g.r, "forward", "input", "output")
		g.nft(at, g.filter(family, hook, "accept", g.simple(family, hook)+" counter "+pick(g.r, rejections[family]...)))
	}},
	{name: "reset", add: func(g *generator) {
		at, family := g.anyRouter(), g.layer3()
		g.nft(at, g.filter(family, pick(g.r, "forward", "input"), "accept", pick(g.r, "tcp dport 80", "tcp dport { 80, 81 }", "tcp sport 80")+" counter reject with tcp reset"))
	}},
	{name: "reject at the target", add: func(g *generator) {
		at, family := pick(g.r, g.ends()...), g.layer3()
		g.nft(at, g.filter(family, "input", "accept", g.simple(family, "input")+" counter "+pick(g.r, rejections[family]...)))
	}},
}}

// oneWays let one direction through only.
var oneWays = family{"one way", []row{
	{name: "drop of what comes in at one side", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		g.nft(at, g.filter("inet", pick(g.r, "forward", "prerouting"), "accept", fmt.Sprintf("iifname %q meta l4proto { icmp, tcp, udp } counter drop", g.port(at))))
	}},
	{name: "drop of answers", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		g.nft(at, g.filter("inet", g.hook(at), "accept", pick(g.r, "udp sport 53", "tcp sport 80", "icmp type echo-reply", "icmpv6 type echo-reply")+" counter drop"))
	}},
	{name: "drop of answers by state", add: func(g *generator) {
		at := g.anyRouter()
		g.nft(at, g.filter("inet", pick(g.r, "forward", "output", "input"), "accept", "ct direction reply meta l4proto { tcp, udp, icmp } counter drop"))
	}},
}}

// hosts are the firewalls that hosts have.
var hosts = family{"host firewall", []row{
	{name: "input policy drop, by the book", weight: 2, add: func(g *generator) {
		g.nft(pick(g.r, g.ends()...), g.table("inet", chain("input", "filter", "input", 0, "drop", "iifname \"lo\" accept", "ct state established,related accept",
			"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept", g.simple("inet", "input")+" accept")))
	}},
	{name: "input policy drop that kills neighbour discovery", weight: 2, add: func(g *generator) {
		g.nft(pick(g.r, g.ends()...), g.table("inet", chain("input", "filter", "input", 0, "drop", "iifname \"lo\" accept", "ct state established,related accept", g.simple("inet", "input")+" accept"))).remembers = true // who asked whom before
	}},
	{name: "output policy drop", add: func(g *generator) {
		g.nft(pick(g.r, g.ends()...), g.table("inet", chain("output", "filter", "output", 0, "drop", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", g.simple("inet", "output")+" accept", "ct state established accept")))
	}},
	{name: "firewalls on both ends", add: func(g *generator) {
		for _, name := range g.ends() {
			g.nft(name, g.table("inet", chain("input", "filter", "input", 0, "drop", append(discovery("inet"), "ct state established accept", g.simple("inet", "input")+" accept")...)))
		}
	}},
	{name: "drop of discovery", add: func(g *generator) {
		if g.v6 {
			at := pick(g.r, g.nodes...).name
			g.nft(at, g.filter("ip6", pick(g.r, "input", "output"), "accept", "icmpv6 type "+pick(g.r, "nd-neighbor-solicit", "nd-neighbor-advert")+" counter drop")).remembers = true
		}
	}},
	{name: "drop of ARP", add: func(g *generator) {
		if g.v4 {
			at := pick(g.r, g.nodes...).name
			g.nft(at, g.table("arp", chain("c", "filter", pick(g.r, "input", "output"), 0, "accept", "arp operation "+pick(g.r, "request", "reply")+" counter drop"))).remembers = true
		}
	}},
}}
