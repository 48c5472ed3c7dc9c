package topo_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// natted is a router with translations, between lan and wan.
func natted(list func(lan, wan *topo.Segment) []topo.NAT) func(*topo.Network) {
	return func(n *topo.Network) {
		lan, wan := n.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), n.Switch("wan", "10.0.2.0/24", "fd00:2::/64")
		n.Router("r", lan, wan).NAT(list(lan, wan)...)
	}
}

func TestNATIsShownAsRules(t *testing.T) {
	t.Parallel()
	for want, list := range map[string]func(lan, wan *topo.Segment) []topo.NAT{
		`oifname "wan" masquerade`: func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.Masquerade(wan)} },
		`oifname "wan" meta nfproto ipv4 snat ip to 192.0.2.1`: func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.SNAT(wan, "192.0.2.1")}
		},
		`iifname "wan" ip daddr 10.0.2.1 tcp dport 8080 dnat ip to 10.0.1.5:80`: func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.DNAT(wan, "tcp/8080", "10.0.1.5:80")}
		},
		`iifname "wan" ip6 daddr fd00:2::1 udp dport 53 dnat ip6 to fd00:1::5`: func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.DNAT(wan, "udp/53", "fd00:1::5")}
		},
		`iifname "wan" ip6 daddr fd00:2::1 tcp dport 8000-8010 dnat ip6 to [fd00:1::5]:80`: func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.DNAT(wan, "tcp/8000-8010", "[fd00:1::5]:80")}
		},
		`iifname "wan" ip daddr 192.0.2.5 dnat ip to 10.0.1.5`: func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.OneToOne(wan, "192.0.2.5", "10.0.1.5")}
		},
		`oifname "wan" ip saddr 10.0.1.5 snat ip to 192.0.2.5`: func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.OneToOne(wan, "192.0.2.5", "10.0.1.5")}
		},
		`iifname "lan" tcp dport 80 redirect to :3128`: func(lan, _ *topo.Segment) []topo.NAT { return []topo.NAT{topo.Redirect(lan, "tcp/80", 3128)} },
	} {
		network := topo.New("office")
		natted(list)(network)
		plan := mustPlan(t, network)
		if text := nodeOf(t, plan, "r").Rulesets[0].Text; !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not in\n%s", want, text)
		}
		if !strings.Contains(plan.String(), want) {
			t.Errorf("%s is not in\n%s", want, plan)
		}
	}
}

func TestNATStandsAmongTextsInOrder(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	wan := network.Switch("wan", "10.0.2.0/24")
	network.Router("r", wan).Nft("a").NAT(topo.Masquerade(wan)).Iptables("b")
	var got []string
	for _, rules := range nodeOf(t, mustPlan(t, network), "r").Rulesets {
		got = append(got, strings.Fields(rules.Loader + " " + rules.Text)[1])
	}
	same(t, got, []string{"a", "table", "b"})
}

func TestMistakesInNAT(t *testing.T) {
	t.Parallel()
	nat := func(f func(lan, wan *topo.Segment) topo.NAT) func(*topo.Network) {
		return natted(func(lan, wan *topo.Segment) []topo.NAT { return []topo.NAT{f(lan, wan)} })
	}
	check(t, []mistake{
		one("node r: NAT of no kind: use Masquerade, SNAT, DNAT, OneToOne or Redirect", nat(func(_, _ *topo.Segment) topo.NAT { return topo.NAT{} })),
		one("node r: masquerade: there is no interface: give a segment, a named port or a device", nat(func(_, _ *topo.Segment) topo.NAT { return topo.Masquerade(nil) })),
		one(`node r: masquerade: nft cannot name the interface eth*: choose a name without quotes, backslashes and stars`, func(n *topo.Network) {
			wan := n.Switch("wan")
			n.Router("r", wan.As("eth*")).NAT(topo.Masquerade(wan))
		}),
		one(`node r: snat: "x": write an address like 10.0.1.5, and a port after it as 10.0.1.5:80 or [fd00:1::5]:80`, nat(func(_, wan *topo.Segment) topo.NAT { return topo.SNAT(wan, "x") })),
		one(`node r: dnat: "http": write what is translated like tcp/80 or udp/5000-5010`, nat(func(_, wan *topo.Segment) topo.NAT { return topo.DNAT(wan, "http", "10.0.1.5") })),
		one(`node r: dnat: "10.0.1.5:0": write an address like 10.0.1.5, and a port after it as 10.0.1.5:80 or [fd00:1::5]:80`,
			nat(func(_, wan *topo.Segment) topo.NAT { return topo.DNAT(wan, "tcp/80", "10.0.1.5:0") })),
		one("node r: dnat: wan has no address of that family that could be asked: give it one, or choose another interface", func(n *topo.Network) {
			wan := n.Switch("wan", "10.0.2.0/24")
			n.Router("r", wan).NAT(topo.DNAT(wan, "tcp/80", "fd00::1"))
		}),
		one("node r: one to one: 192.0.2.5 and fd00::1 are of two families: choose two of one", nat(func(_, wan *topo.Segment) topo.NAT { return topo.OneToOne(wan, "192.0.2.5", "fd00::1") })),
		one("node r: redirect: port 0: it is between 1 and 65535", nat(func(lan, _ *topo.Segment) topo.NAT { return topo.Redirect(lan, "tcp/80", 0) })),
	})
}
