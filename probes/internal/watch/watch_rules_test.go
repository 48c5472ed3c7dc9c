package watch_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
)

const (
	udp  = wire.UDP
	tcp  = wire.TCP
	icmp = wire.ICMP
)

// chain is a table of a family with a chain at a hook, "forward priority 0", which
// is called after it, and other chains before.
func chain(family, hook string, rules ...string) string {
	name, _, _ := strings.Cut(hook, " ")
	return fmt.Sprintf("table %s filter {\n%s\n}\n", family, section(name, append([]string{"type filter hook " + hook}, rules...)...))
}

func section(name string, lines ...string) string {
	return "chain " + name + " {\n" + strings.Join(lines, "\n") + "\n}"
}

// ruled is a ruleset at a node, and probes that it stops.
type ruled struct {
	node, rules string
	stops       []wire.Protocol
	only        string // "v4", "v6", or both
	listening   bool   // the server answers
	want        string // the cause
	name        string // what the rule is called
}

var rulesets = map[string]ruled{
	"a rule with a comment": {
		node: "fw", stops: []wire.Protocol{udp, tcp},
		rules: chain("inet", "forward priority 0", `th dport 53 counter drop comment "no dns"`),
		want:  `the request was dropped at fw by rule "th dport 53 counter drop" of inet filter forward ("no dns")`, name: "no dns",
	},
	"a rule in a chain that was jumped to": {
		node: "fw", stops: []wire.Protocol{udp, icmp},
		rules: "table inet filter {\n" + section("guests", "meta l4proto { icmp, ipv6-icmp, udp } drop") + "\n" +
			section("nobody", "meta l4proto tcp accept") + "\n" +
			section("forward", "type filter hook forward priority 0", "jump nobody", "goto guests") + "\n}\n",
		want: `the request was dropped at fw by rule "meta l4proto { icmp, udp, ipv6-icmp } drop" of inet filter guests`, name: "meta l4proto { icmp, udp, ipv6-icmp } drop",
	},
	"a policy": {
		node: "fw", stops: []wire.Protocol{udp, tcp, icmp},
		rules: chain("inet", "forward priority 0", "policy drop", "ct state established accept"),
		want:  "the request was dropped at fw by policy drop of inet filter forward", name: "policy inet filter forward",
	},
	"a policy after a jump": {
		node: "fw", stops: []wire.Protocol{udp}, only: "v4",
		rules: "table ip filter {\n" + section("empty") + "\n" + section("forward", "type filter hook forward priority 0", "policy drop", "jump empty") + "\n}\n",
		want:  "the request was dropped at fw by policy drop of ip filter forward", name: "policy ip filter forward",
	},
	"a rule of ip": {
		node: "fw", stops: []wire.Protocol{udp, tcp, icmp}, only: "v4",
		rules: chain("ip", "forward priority 0", "ip daddr 10.0.2.1 drop"),
		want:  `the request was dropped at fw by rule "ip daddr 10.0.2.1 drop" of ip filter forward`, name: "ip  daddr 10.0.2.1 drop",
	},
	"a rule of ip6": {
		node: "fw", stops: []wire.Protocol{udp, tcp, icmp}, only: "v6",
		rules: chain("ip6", "forward priority 0", "ip6 daddr fd00:2::1 drop"),
		want:  `the request was dropped at fw by rule "ip6 daddr fd00:2::1 drop" of ip6 filter forward`, name: "ip6 daddr fd00:2::1 drop",
	},
	"a rule before routing": {
		node: "fw", stops: []wire.Protocol{udp, tcp},
		rules: chain("inet", "prerouting priority -300", `iifname "lan" meta l4proto { tcp, udp } drop`),
		want:  `the request was dropped at fw by rule "iifname \"lan\" meta l4proto { tcp, udp } drop" of inet filter prerouting`, name: `iifname "lan" meta l4proto { tcp, udp } drop`,
	},
	"a rule after routing": {
		node: "fw", stops: []wire.Protocol{udp, tcp},
		rules: chain("inet", "postrouting priority 300", "th dport 53 drop"),
		want:  `the request was dropped at fw by rule "th dport 53 drop" of inet filter postrouting`, name: "th dport 53 drop",
	},
	"a rule of an interface": {
		node: "fw", stops: []wire.Protocol{udp, tcp, icmp},
		rules: chain("netdev", "ingress device lan priority 0", "ip daddr 10.0.2.1 drop", "ip6 daddr fd00:2::1 drop"), only: "v4",
		want: `the request was dropped at fw by rule "ip daddr 10.0.2.1 drop" of netdev filter ingress`, name: "ip daddr 10.0.2.1 drop",
	},
	"a rule of inet at an interface": {
		node: "fw", stops: []wire.Protocol{udp, tcp},
		rules: chain("inet", "ingress device lan priority 0", "th dport 53 drop"),
		want:  `the request was dropped at fw by rule "th dport 53 drop" of inet filter ingress`, name: "th dport 53 drop",
	},
	"a rule of the target": {
		node: "server", stops: []wire.Protocol{udp, tcp},
		rules: chain("inet", "input priority 0", `th dport 53 drop comment "closed"`),
		want:  `the request was dropped at server by rule "th dport 53 drop" of inet filter input ("closed")`, name: "closed",
	},
	"a rule of the asker": {
		node: "client", stops: []wire.Protocol{tcp},
		rules: chain("inet", "output priority 0", "tcp dport 53 drop"),
		want:  `the request was dropped at client by rule "tcp dport 53 drop" of inet filter output`, name: "tcp dport 53 drop",
	},
	"a rule of the asker, which the kernel tells as well": {
		node: "client", stops: []wire.Protocol{udp, icmp},
		rules: chain("inet", "output priority 0", "policy drop", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"),
		want:  "the request was dropped at client by policy drop of inet filter output", name: "policy inet filter output",
	},
	"a rule for the answer": {
		node: "fw", stops: []wire.Protocol{udp, tcp}, listening: true,
		rules: chain("inet", "forward priority 0", `th sport 53 drop comment "no way back"`),
		want:  `the request arrived; the answer was dropped at fw by rule "th sport 53 drop" of inet filter forward ("no way back")`, name: "no way back",
	},
	"a rule of the target for the answer": {
		node: "server", stops: []wire.Protocol{udp, tcp}, listening: true,
		rules: chain("inet", "output priority 0", "th sport 53 drop"),
		want:  `the request arrived; the answer was dropped at server by rule "th sport 53 drop" of inet filter output`, name: "th sport 53 drop",
	},
	"a rule of the asker for the answer": {
		node: "client", stops: []wire.Protocol{udp, tcp}, listening: true,
		rules: chain("inet", "input priority 0", "th sport 53 drop"),
		want:  `the request arrived; the answer was dropped at client by rule "th sport 53 drop" of inet filter input`, name: "th sport 53 drop",
	},
}

func TestWatchNamesTheRule(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	for name, r := range rulesets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, officeOf(func(client, server, fw *topo.Node) {
				map[string]*topo.Node{"client": client, "server": server, "fw": fw}[r.node].Nft(r.rules)
			}))
			r.check(t, lab)
		})
	}
}

// iptables's rules, by iptables-nft.
func TestWatchNamesTheRuleOfIptables(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.IptablesTool)
	const text = `*filter
:INPUT ACCEPT [0:0]
:FORWARD %s [0:0]
:OUTPUT ACCEPT [0:0]
%sCOMMIT
`
	rule := fmt.Sprintf(text, "ACCEPT", "-A FORWARD -p udp --dport 53 -m comment --comment \"no dns\" -j DROP\n")
	for name, r := range map[string]ruled{
		"a rule":       {only: "v4", rules: rule, want: `the request was dropped at fw by rule "udp dport 53 counter drop" of ip filter FORWARD ("no dns")`, name: "no dns"},
		"a rule of v6": {only: "v6", rules: rule, want: `the request was dropped at fw by rule "udp dport 53 counter drop" of ip6 filter FORWARD ("no dns")`, name: "no dns"},
		"in its own words": {only: "v4", rules: rule, want: `the request was dropped at fw by rule "udp dport 53 counter drop" of ip filter FORWARD ("no dns")`,
			name: "-A FORWARD -p udp --dport 53 -j DROP"},
		"in a chain that is called like a word of nft's": {
			only:  "v4",
			rules: fmt.Sprintf(text, "ACCEPT", "-N reject\n-A FORWARD -p udp --dport 53 -j reject\n-A reject -s 10.0.0.0/8 -j DROP\n"),
			want:  `the request was dropped at fw by rule "ip saddr 10.0.0.0/8 counter drop" of ip filter reject`, name: "-A reject -s 10.0.0.0/8 -j DROP",
		},
		"a policy": {only: "v4", rules: fmt.Sprintf(text, "DROP", ""), want: "the request was dropped at fw by policy drop of ip filter FORWARD", name: "policy ip filter FORWARD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.stops = []wire.Protocol{udp}
			r.check(t, harness.Up(t, officeOf(func(_, _, fw *topo.Node) {
				if r.only == "v6" {
					fw.Ip6tables(r.rules)
				} else {
					fw.Iptables(r.rules)
				}
			})))
		})
	}
}

func (r ruled) check(t *testing.T, lab *harness.Lab) {
	client := lab.Node("client")
	if r.listening {
		serve(t, lab.Node("server"), 53)
	}
	for _, addr := range []netip.Addr{server4, server6} {
		if r.only == "v4" && addr.Is6() || r.only == "v6" && addr.Is4() {
			continue
		}
		for _, protocol := range r.stops {
			port := uint16(53)
			if protocol == icmp {
				port = 0
			}
			c := ask(t, client, to(protocol, addr, port)).says(evidence.Drop, r.want)
			if c.Rule == nil || !c.Policy || !c.Is(r.name) || c.Is("another") || c.Interface != "" {
				t.Errorf("%+v, rule %+v, is not %q", c, c.Rule, r.name)
			}
		}
	}
}
