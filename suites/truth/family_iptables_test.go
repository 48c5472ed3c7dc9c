package truth_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/topo"
)

// xtables are rules of iptables, both kinds.
var xtables = family{"iptables", []row{
	{name: "iptables", weight: 2, add: func(g *generator) { g.iptables(false) }},
	{name: "chain with the name of a word", add: func(g *generator) {
		at := g.anyRouter()
		hook := strings.ToUpper(pick(g.r, "forward", "input", "output"))
		text := fmt.Sprintf("*filter\n:%s ACCEPT [0:0]\n:reject - [0:0]\n-A %s -p %s -j reject\n-A reject -p tcp --dport 80 -j DROP\n-A reject -p udp -j DROP\nCOMMIT\n", hook, hook, pick(g.r, "tcp", "udp"))
		g.put(part{node: at, text: text, source: at + ".Iptables(`%s`)", declare: func(n *topo.Node, text string) { n.Iptables(text) }})
	}},
	{name: "iptables-legacy", add: func(g *generator) { g.iptables(true) }},
}}

func (g *generator) iptables(legacy bool) {
	at, v6 := g.anyRouter(), g.family()
	hook := strings.ToUpper(map[bool]string{true: pick(g.r, "forward", "forward", "input"), false: pick(g.r, "input", "output")}[g.node(at).router])
	policy := pick(g.r, "ACCEPT", "ACCEPT", "DROP")
	lines := []string{"*filter", fmt.Sprintf(":%s %s [0:0]", hook, policy)}
	if v6 {
		lines = append(lines, fmt.Sprintf("-A %s -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT", hook), fmt.Sprintf("-A %s -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT", hook))
	}
	for range 1 + g.r.IntN(2) {
		line := fmt.Sprintf("-A %s %s -j %s", hook,
			pick(g.r, "-p tcp --dport 80", "-p udp --dport 53", "-p tcp", "-p udp", "-m conntrack --ctstate NEW -p tcp", "-p tcp -m multiport --dports 80,81", "-p udp -m comment --comment \"no names\""),
			pick(g.r, "DROP", "DROP", "REJECT", "ACCEPT"))
		if !slices.Contains(lines, line) { // of two that are the same, the second is lifted by the name of the first
			lines = append(lines, line)
		}
	}
	text := strings.Join(append(lines, "COMMIT"), "\n") + "\n"
	var backend []topo.Backend
	words := ""
	if legacy {
		backend, words = []topo.Backend{topo.Legacy}, ", topo.Legacy"
	}
	if v6 {
		g.put(part{node: at, text: text, source: at + ".Ip6tables(`%s`" + words + ")", declare: func(n *topo.Node, text string) { n.Ip6tables(text, backend...) }})
		return
	}
	g.put(part{node: at, text: text, source: at + ".Iptables(`%s`" + words + ")", declare: func(n *topo.Node, text string) { n.Iptables(text, backend...) }})
}
