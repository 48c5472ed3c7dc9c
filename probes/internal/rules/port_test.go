package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// named is what a ruleset names, a word each; those beside a range in brackets, and with
// the family where it is one.
func named(set *inspect.Ruleset) string {
	var words []string
	for _, port := range rules.Named(set) {
		word := port.String()
		if port.Family != 0 {
			word += fmt.Sprintf("(%d)", port.Family)
		}
		if port.Beside {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestNamed(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, r := range []struct{ rule, want string }{
		{"tcp dport 22 accept", "tcp/22"}, {"udp sport 53 accept", "udp from 53"}, {"tcp dport { 22, 80 } accept", "tcp/22, tcp/80"}, {"tcp dport != 22 drop", "tcp/22"},
		{"tcp dport 20-30 accept", "tcp/20, tcp/30, [tcp/19], [tcp/31]"}, {"tcp dport < 1024 accept", "tcp/1023, [tcp/1024]"}, {"tcp dport >= 1024 accept", "tcp/1024, tcp/65535, [tcp/1023]"},
		{"tcp dport > 1024 accept", "tcp/1025, tcp/65535, [tcp/1024]"}, {"tcp dport <= 1024 accept", "tcp/1024, [tcp/1025]"}, {"tcp dport 1-65535 accept", "tcp/1, tcp/65535"},
		{"th dport 53 accept", "tcp/53, udp/53"}, {"meta l4proto { tcp, udp } th dport 53 accept", "tcp/53, udp/53"}, {"meta l4proto udp th dport { 53, 67-68 } accept", "udp/53, udp/67, udp/68, [udp/66], [udp/69]"},
		{"meta l4proto . th dport { tcp . 22, udp . 53 } accept", "tcp/22, udp/53"}, {"ip daddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 443 } accept", "tcp/80(4), tcp/443(4)"},
		{"ip daddr . tcp dport . ip saddr vmap { 10.0.0.1 . 80-90 . 10.0.0.9 : accept }", "tcp/80(4), tcp/90(4), [tcp/79(4)], [tcp/91(4)]"},
		{"tcp dport vmap { 80 : accept, 81 : drop }", "tcp/80, tcp/81"}, {"tcp sport . tcp dport { 1000 . 22 } accept", "tcp from 1000, tcp/22"}, {"tcp sport 40 tcp dport 50 accept", "tcp from 40, tcp/50"},
		{"ip6 saddr fd00::1 udp dport 53 accept", "udp/53(6)"}, {"ip protocol gre accept", "gre(4)"}, {"meta l4proto { sctp, esp } accept", "esp, sctp"}, {"sctp dport 9 accept", "sctp/9"},
		{"icmp type echo-request accept", "icmp(4)"}, {"icmpv6 type echo-request accept", "icmpv6(6)"}, {"meta mark 22 accept", ""}, {"ip saddr 10.0.0.22 accept", ""}, {"ct state new accept", ""},
		{"meta l4proto tcp ct original proto-dst 22 accept", "tcp/22"}, {"tcp flags syn tcp dport 22 accept", "tcp/22"}, {"tcp dport & 0xff == 22 accept", "tcp/22"}, {"tcp dport @ports accept", "tcp/22, tcp/80, tcp/89, [tcp/79], [tcp/90]"},
		{"tcp dport 22 accept; udp dport 22 accept; tcp dport 22 drop", "tcp/22, udp/22"}, {"ip saddr 10.0.0.1 tcp dport 22 accept; tcp dport 22 accept", "tcp/22(4), tcp/22"},
		{"tcp dport 22 accept; ip saddr 10.0.0.1 tcp dport 22 accept", "tcp/22"}, {"ip6 nexthdr udp accept", "udp(6)"}, {"@th,16,16 22 accept", "tcp/22, udp/22"}, {"meta l4proto tcp redirect to :tcp dport map { 80 : 8080 }", "tcp/80"},
		{"meta nfproto ipv6 tcp dport 22 accept", "tcp/22(6)"}, {"icmp id 22 accept", "icmp(4)"}, {"tcp window 22 accept", "tcp"},
	} {
		hook := "type filter hook forward priority 0;"
		if strings.Contains(r.rule, "redirect") {
			hook = "type nat hook prerouting priority 0;"
		}
		err := node.Nft("flush ruleset; table inet t { set ports { type inet_service; flags interval; elements = { 22, 80-89 }; }; chain c { " + hook + r.rule + "; }; }; table arp a { chain c { type filter hook input priority 0; }; }")
		if err != nil {
			t.Errorf("%s: %v", r.rule, err)
		} else if set := read(t, node); named(set) != r.want {
			t.Errorf("%s: %s, want %s; %s", r.rule, named(set), r.want, exprs(set.Chain("inet", "t", "c").Rules[0]))
		}
	}
}

func TestNamedSaysWhichRule(t *testing.T) {
	t.Parallel()
	set := loaded(t, "table ip t {\nchain c {\ntcp dport 22 drop\ntcp dport { 22, 23 } drop comment \"telnet\"\n}\n}\ntable ip off {\nflags dormant\nchain c {\ntcp dport 99 drop\n}\n}\n")
	ports := rules.Named(set)
	if len(ports) != 2 || ports[0].Rule.String() != "rule 1 of ip t c" || ports[1].Rule.String() != `rule 2 of ip t c ("telnet")` {
		t.Errorf("%v", ports)
	}
}

func TestNamedIptables(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, r := range []struct{ rule, want string }{
		{"-p tcp --dport 22 -j ACCEPT", "tcp/22(4)"}, {"-p udp --sport 53 -j ACCEPT", "udp from 53(4)"}, {"-p tcp -m multiport --dports 80,443,8000:8010 -j ACCEPT", "tcp/80(4), tcp/443(4), tcp/8000(4), tcp/8010(4), [tcp/7999(4)], [tcp/8011(4)]"},
		{"-p tcp -m multiport --ports 80 -j ACCEPT", "tcp from 80(4), tcp/80(4)"}, {"-p tcp -m multiport ! --sports 80,81 -j ACCEPT", "tcp from 80(4), tcp from 81(4)"}, {"-p tcp --dport 20:30 -j DROP", "tcp/20(4), tcp/30(4), [tcp/19(4)], [tcp/31(4)]"},
		{"-p gre -j ACCEPT", "gre(4)"}, {"-s 10.0.0.1 -j ACCEPT", ""}, {"-p icmp -m icmp --icmp-type 8 -j ACCEPT", "icmp(4)"},
	} {
		text := "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD " + r.rule + "\nCOMMIT\n"
		if err := node.Nft("flush ruleset"); err != nil {
			t.Fatal(err)
		}
		if err := node.Iptables(text); err != nil {
			t.Errorf("%s: %v", r.rule, err)
		} else if set := read(t, node); sorted(named(set)) != sorted(r.want) {
			t.Errorf("%s: %s, want %s; %s", r.rule, named(set), r.want, exprs(set.Chain("ip", "filter", "FORWARD").Rules[0]))
		}
		tables, err := inspect.ParseLegacy("iptables-legacy", text)
		if err != nil {
			t.Fatal(err)
		}
		if set := (&inspect.Ruleset{Legacy: tables}); sorted(named(set)) != sorted(r.want) {
			t.Errorf("legacy %s: %s, want %s", r.rule, named(set), r.want)
		}
	}
}
