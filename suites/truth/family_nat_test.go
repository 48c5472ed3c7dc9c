package truth_test

import (
	"fmt"
	"time"
)

// translations change addresses and ports.
var translations = family{"translation", []row{
	{name: "masquerade", weight: 2, add: func(g *generator) {
		g.nat(func(word string, v6 bool) (in, out string) {
			return "", fmt.Sprintf("oifname %q %smasquerade", g.port(g.anyRouter()), pick(g.r, "", "meta l4proto tcp ", "meta l4proto { tcp, udp } "))
		})
	}},
	{name: "snat", add: func(g *generator) {
		at := g.anyRouter()
		g.natAt(at, func(word string, v6 bool) (in, out string) {
			if a := g.addr(at, v6); a != "" {
				return "", fmt.Sprintf("%ssnat to %s", pick(g.r, "", "meta l4proto udp ", "tcp dport 80 "), a)
			}
			return "", ""
		})
	}},
	{name: "dnat to another node", weight: 2, add: func(g *generator) {
		g.nat(func(word string, v6 bool) (in, out string) {
			return pick(g.r, "tcp dport 80", "udp dport 53", "meta l4proto { tcp, udp }", "meta l4proto "+map[bool]string{false: "icmp", true: "icmpv6 icmpv6 type echo-request"}[v6]) +
				" counter dnat to " + g.someAddr(v6), pick(g.r, "", "masquerade")
		})
	}},
	{name: "dnat that changes the port", add: func(g *generator) {
		g.nat(func(word string, v6 bool) (in, out string) {
			to := g.someAddr(v6)
			if v6 {
				to = "[" + to + "]"
			}
			return pick(g.r, "tcp dport 81 counter dnat to "+to+":80", "udp dport 54 counter dnat to "+to+":53", "tcp dport 80 dnat to "+to+":81"), pick(g.r, "", "masquerade")
		})
	}},
	{name: "dnat by a map", add: func(g *generator) {
		g.nat(func(word string, v6 bool) (in, out string) {
			return fmt.Sprintf("dnat to tcp dport map { 80 : %s, 81 : %s }", g.someAddr(v6), g.someAddr(v6)), ""
		})
	}},
	{name: "redirect", weight: 2, add: func(g *generator) {
		g.nat(func(string, bool) (in, out string) {
			return pick(g.r, "tcp dport 81 counter redirect to :80", "tcp dport 80 counter redirect to :80", "udp dport 53 counter redirect to :53", "udp dport 54 redirect to :53", "tcp dport 80 redirect to :81"), ""
		})
	}},
	{name: "redirect to a plain service", add: func(g *generator) {
		at := g.anyRouter()
		if g.proxiedAt(at) {
			return
		}
		g.natAt(at, func(string, bool) (in, out string) {
			return "tcp dport 80 counter redirect to :3128", ""
		})
		g.services = append(g.services, service{node: at, network: tcp, port: 3128, feature: g.naming})
	}},
	{name: "translation at the asker", add: func(g *generator) {
		at := pick(g.r, g.ends()...)
		v6 := g.family()
		g.nft(at, g.table(word(v6), chain("out", "nat", "output", -100, "accept", pick(g.r, "tcp dport 80", "udp dport 53", "tcp dport 81")+" counter dnat to "+g.someAddr(v6))))
	}},
	{name: "translation at the target", add: func(g *generator) {
		at := pick(g.r, g.ends()...)
		v6 := g.family()
		g.nft(at, g.table(word(v6), chain("in", "nat", "prerouting", -100, "accept", pick(g.r, "tcp dport 81 redirect to :80", "tcp dport 80 redirect to :81", "udp dport 54 redirect to :53"))))
	}},
	{name: "tproxy", add: func(g *generator) {
		at, v6 := g.anyRouter(), g.family()
		family, local := "ip", "127.0.0.1"
		if v6 {
			family, local = "ip6", "[::1]"
		}
		g.nft(at, g.table(family, chain("c", "filter", "prerouting", -150, "accept", fmt.Sprintf("tcp dport 80 tproxy to %s:3128 meta mark set 1", local))))
	}},
}}

func word(v6 bool) string {
	if v6 {
		return "ip6"
	}
	return "ip"
}

// someAddr is an address of some node of that family.
func (g *generator) someAddr(v6 bool) string {
	for {
		if a := g.addr(pick(g.r, g.nodes...).name, v6); a != "" {
			return a
		}
	}
}

func (g *generator) nat(rules func(word string, v6 bool) (in, out string)) {
	g.natAt(g.anyRouter(), rules)
}

func (g *generator) natAt(at string, rules func(word string, v6 bool) (in, out string)) {
	v6 := g.family()
	in, out := rules(word(v6), v6)
	g.nft(at, g.table(word(v6), chain("in", "nat", "prerouting", -100, "accept", in), chain("out", "nat", "postrouting", 100, "accept", out)))
}

// copies are packets made of packets.
var copies = family{"copy", []row{
	{name: "dup to a node that drops", weight: 3, add: func(g *generator) {
		if g.chance(2) { // the copy ends before the answer comes
			g.listener(func(s *service) { s.slow = 30 * time.Millisecond })
		}
		g.dup(func(to string) {
			g.nft(to, g.table("inet", chain("c", "filter", pick(g.r, "forward", "input", "prerouting"), 0, "drop", discovery("inet")...)))
		})
	}},
	{name: "dup to another node", add: func(g *generator) { _ = g.dup(func(string) {}) }},
	{name: "dup, and the packet itself is dropped", add: func(g *generator) {
		if !g.dup(func(string) {}) {
			return
		}
		at := g.parts[len(g.parts)-1].node
		g.nft(at, g.filter("inet", pick(g.r, "forward", "postrouting"), "accept", g.simple("inet", "forward")+" counter drop"))
	}},
	{name: "dup that the node's own output drops", add: func(g *generator) {
		if !g.dup(func(string) {}) {
			return
		}
		at := g.parts[len(g.parts)-1].node
		g.nft(at, g.filter("inet", "output", "accept", "oifname \"mirror\" meta l4proto { tcp, udp, icmp } counter drop"))
	}},
	{name: "copy of frames to another port", add: func(g *generator) {
		at := g.anyRouter()
		ports := g.node(at).ports
		if len(ports) < 2 {
			return
		}
		g.nft(at, g.table("netdev", chain("c", "filter", fmt.Sprintf("ingress device %q", ports[0].segment), 0, "accept", fmt.Sprintf("%s dup to %q", g.simple("netdev", "ingress"), ports[1].segment))))
	}},
	{name: "frames forwarded to another port", add: func(g *generator) {
		at := g.anyRouter()
		ports := g.node(at).ports
		if len(ports) < 2 {
			return
		}
		g.nft(at, g.table("netdev", chain("c", "filter", fmt.Sprintf("ingress device %q", ports[0].segment), 0, "accept", fmt.Sprintf("%s fwd to %q", g.simple("netdev", "ingress"), ports[1].segment))))
	}},
	{name: "flood to a third that drops", add: func(g *generator) {
		for _, n := range g.nodes {
			if !n.router {
				g.nft(n.name, g.table("netdev", chain("c", "filter", fmt.Sprintf("ingress device %q", g.port(n.name)), 0, "accept", "meta pkttype other counter drop")))
			}
		}
	}},
}}

// dup copies packets, where it can, to the node on the mirror, or to one on another link.
func (g *generator) dup(at func(to string)) (done bool) {
	v6, from := g.family(), g.anyRouter()
	to, device := "ids", "mirror"
	if g.node("ids") == nil {
		to, device = "", ""
		for _, p := range g.node(from).ports {
			for _, n := range g.nodes {
				if n.name != from && len(n.ports) > 0 && n.ports[0].segment == p.segment && g.addr(n.name, v6) != "" {
					to, device = n.name, p.segment
				}
			}
		}
	} else {
		from = "fw"
	}
	if to == "" {
		return false
	}
	at(to)
	lines := fmt.Sprintf("iifname != %q %s dup to %s device %q", device, pick(g.r, "", "udp dport 53", "meta l4proto { tcp, udp, icmp, icmpv6 }"), g.addr(to, v6), device)
	g.nft(from, g.table(word(v6), chain("c", "filter", pick(g.r, "prerouting", "prerouting", "postrouting"), -300, "accept", lines)))
	return true
}

// memories are rules that treat one packet in another way than the next.
var memories = family{"memory", []row{
	{name: "limit", weight: 2, add: func(g *generator) {
		g.remember("limit rate 1/minute burst 1 packets accept", "icmpv6 type echo-request counter drop", "meta l4proto { tcp, udp, icmp } counter drop")
	}},
	{name: "limit over", add: func(g *generator) {
		g.remember("meta l4proto { tcp, udp, icmp } limit rate over 1/minute burst 2 packets counter drop")
	}},
	{name: "quota", add: func(g *generator) {
		g.remember("meta l4proto { tcp, udp, icmp } quota over " + pick(g.r, "60", "500") + " bytes counter drop")
	}},
	{name: "first packet of each dropped", weight: 2, add: func(g *generator) {
		v6 := g.family()
		kind := "ipv4_addr"
		if v6 {
			kind = "ipv6_addr"
		}
		at := g.anyRouter()
		g.nft(at, g.table(word(v6), fmt.Sprintf("set seen { type %s . inet_service; flags dynamic,timeout; timeout 1m; size 1024; }", kind),
			chain("c", "filter", "prerouting", -200, "accept", fmt.Sprintf("tcp flags & (syn | ack) == syn %s saddr . tcp sport @seen accept", word(v6)),
				fmt.Sprintf("tcp flags & (syn | ack) == syn add @seen { %s saddr . tcp sport } counter drop", word(v6))))).remembers = true
	}},
	{name: "every other one", add: func(g *generator) {
		g.remember("meta l4proto { tcp, udp, icmp } numgen inc mod 2 " + pick(g.r, "0", "1") + " counter drop")
	}},
	{name: "by chance", add: func(g *generator) {
		g.remember("meta l4proto { tcp, udp, icmp } numgen random mod 2 0 counter drop")
	}},
	{name: "too many connections", add: func(g *generator) {
		g.remember("meta l4proto { tcp, udp } ct state new ct count over " + pick(g.r, "1", "2") + " counter drop")
	}},
	{name: "who came once is blocked", add: func(g *generator) {
		at := g.anyRouter()
		g.nft(at, g.table("ip", "set blocked { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 1024; }",
			chain("c", "filter", "prerouting", -200, "accept", "meta l4proto { tcp, udp, icmp } ip saddr @blocked counter drop", "meta l4proto { tcp, udp } add @blocked { ip saddr }"))).remembers = true
	}},
	{name: "elements that time out", add: func(g *generator) {
		v6 := g.family()
		kind := map[bool]string{false: "ipv4_addr", true: "ipv6_addr"}[v6]
		if a := g.addr(pick(g.r, g.ends()...), v6); a != "" {
			at := g.anyRouter()
			g.nft(at, g.table("inet", fmt.Sprintf("set some { type %s; flags timeout; elements = { %s timeout %s }; }", kind, a, pick(g.r, "2s", "1h")),
				chain("c", "filter", g.hook(at), 0, "accept", word(v6)+" saddr @some meta l4proto { tcp, udp, icmp } counter drop"))).remembers = true
		}
	}},
	{name: "limit that only logs", add: func(g *generator) {
		at := g.anyRouter()
		g.nft(at, g.filter("inet", "forward", "accept", "limit rate 1/minute counter", g.simple("inet", "forward")+" "+g.end("inet", "forward")))
	}},
}}

func (g *generator) remember(lines ...string) {
	at := g.anyRouter()
	g.nft(at, g.table("inet", chain("c", "filter", g.hook(at), 0, "accept", lines...))).remembers = true
}
