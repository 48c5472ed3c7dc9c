package truth_test

import (
	"fmt"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// chosen are conditions on what any program may choose: its source port, how much it
// says, TTL, TOS, and of rules about users who it is. What they decide of a probe they
// do not decide of every program.
var chosen = family{"chosen", []row{
	{name: "drop by what a program may choose", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		choice := g.choice()
		g.nft(at, g.filter("inet", g.hook(at), "accept", choice+" counter drop")).remembers = strings.Contains(choice, "& 1") // one has it and the next has not
		g.wonder(udp)
	}},
	{name: "only what a program may choose is let through", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		accept := pick(g.r, "udp length < 20", "meta length < 62 meta l4proto udp", "ip ttl > 64", "ip dscp 4", "ip6 hoplimit > 64", "udp sport 10000-30000")
		g.nft(at, g.filter("inet", g.hook(at), "drop", append(discovery("inet"), accept+" accept")...))
		g.wonder(pick(g.r, udp, udp, every))
	}},
	{name: "a pair of ports is let through", add: func(g *generator) {
		at := g.anyRouter()
		accept := pick(g.r, "udp sport . udp dport { 53 . 4444 } accept", "udp sport 53 udp dport 4444 accept", "udp sport 53 udp dport vmap { 4444 : accept }")
		g.nft(at, g.filter("inet", g.hook(at), "drop", append(discovery("inet"), accept)...))
		g.wonder(every)
	}},
	{name: "policy routing by what a program may choose", weight: 2, add: func(g *generator) {
		from, to := g.wonder(pick(g.r, udp, udp, tcp))
		v6 := g.family()
		if from == "" || g.has(from) {
			return
		}
		if addr := g.addr(to, v6); addr != "" {
			g.routeChosen(from, addr, v6)
		}
	}},
}}

func (g *generator) choice() string {
	all := []string{"udp sport 32768-60999", "udp length > 20", "meta length > 60 meta l4proto udp", "udp sport & 1 == 1"}
	if g.v4 {
		all = append(all, "ip ttl <= 64", "ip dscp 0")
	}
	if g.v6 {
		all = append(all, "ip6 hoplimit <= 64 meta l4proto udp", "ip6 dscp 0 meta l4proto udp")
	}
	return pick(g.r, all...)
}

// routeChosen ends what goes to an address, but not all that a program may send there.
func (g *generator) routeChosen(at, addr string, v6 bool) {
	way := pick(g.r, "uidrange 1000-1000", "tos 0x10", "sport 10000-30000")
	g.does(at, fmt.Sprintf("ip %s rule add pref 10 %s lookup main; ip %s rule add pref 20 to %s blackhole // at %s", word(v6), way, word(v6), addr, at), func(_ *scope, node *harness.Node) error {
		good, bad := newRule(v6), newRule(v6)
		good.Priority, good.Table = 10, unix.RT_TABLE_MAIN
		switch way[0] {
		case 'u':
			good.UIDRange = netlink.NewRuleUIDRange(1000, 1000)
		case 't':
			good.Tos = oddTOS
		default:
			good.IPProto, good.Sport = unix.IPPROTO_UDP, netlink.NewRulePortRange(10000, 30000)
		}
		bad.Priority, bad.Dst, bad.Type = 20, host(addr), unix.RTN_BLACKHOLE
		if err := node.Netlink().RuleAdd(good); err != nil {
			return err
		}
		return node.Netlink().RuleAdd(bad)
	}).users = way[0] == 'u'
	g.parts[len(g.parts)-1].odd = true
}

// wonder adds a question between two ends.
func (g *generator) wonder(kind string) (from, to string) {
	ends := g.ends()
	if len(ends) < 2 || len(g.asks) >= questions {
		return "", ""
	}
	i := g.r.IntN(len(ends))
	from, to = ends[i], ends[(i+1+g.r.IntN(len(ends)-1))%len(ends)]
	g.asks = append(g.asks, ask{from: from, to: to, kind: kind}.at())
	return from, to
}

// at is a question at the port that most nodes serve.
func (a ask) at() ask {
	a.port = map[string]uint16{tcp: 80, udp: 53}[a.kind]
	return a
}
