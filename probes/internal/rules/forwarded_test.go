package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// TestOtherPorts has of which ports rules make UDP's 53.
func TestOtherPorts(t *testing.T) {
	t.Parallel()
	const udp = 17
	node := oneNode(t, "")
	for _, r := range []struct{ rule, want string }{
		{"udp dport 5300 redirect to :53", "5300"}, {"udp dport 5300 redirect to :54", ""}, {"tcp dport 5300 redirect to :53", ""}, {"udp dport 5300 redirect", ""},
		{"udp dport 53 redirect to :53", ""}, {"udp dport 5300-5302 redirect to :53", "5300 5302 5301"}, {"udp dport { 5300, 5301 } redirect to :50-60", "5300 5301, by chance"},
		{"udp dport != 53 redirect to :53", "1 54"}, {"meta l4proto udp redirect to :53", "1"}, {"th dport 5300 meta l4proto udp redirect to :53", "5300"},
		{"meta l4proto udp redirect to :udp dport map { 5300 : 53, 5301 : 54 }", "5300 5301"}, {"meta l4proto udp redirect to :udp dport map { 5300 : 52 }", ""},
		{"dnat ip to udp dport map { 5300 : 10.0.0.1 . 53 }", "5300"}, {"dnat ip to ip daddr . udp dport map { 10.0.0.9 . 5300 : 10.0.0.1 . 53 }", "5300"},
		{"udp dport 5300 dnat ip to 10.0.0.1:53", "5300"}, {"udp dport 5300 dnat ip to 10.0.0.1", ""}, {"udp dport 5300 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1 . 53, 1 : 10.0.0.2 . 53 }", "5300, by chance"},
		{"udp dport 5300 udp dport set 53", "5300"}, {"udp dport 5300 udp dport set 54", ""}, {"udp dport 5300 udp sport set 53", ""}, {"meta mark set 7 udp dport 5300 redirect to :53", "5300"},
	} {
		hook := "type nat hook prerouting priority 0;"
		if err := node.Nft("flush ruleset; table inet t { chain c { " + hook + r.rule + "; }; }"); err != nil {
			t.Errorf("%s: %v", r.rule, err)
			continue
		}
		set := read(t, node)
		var makes []rules.Forwarding
		chance := ""
		for _, f := range rules.Translated(set).Ports {
			if f.Makes(udp, 53) {
				makes = append(makes, f)
			}
			if f.Chance {
				chance = ", by chance"
			}
		}
		got := ""
		if len(makes) > 0 {
			got = strings.Trim(fmt.Sprint(rules.OtherPorts(makes, rules.Named(set), udp, 53)), "[]") + chance
		}
		if got != r.want {
			t.Errorf("%s: %q, want %q; %s", r.rule, got, r.want, exprs(set.Chain("inet", "t", "c").Rules[0]))
		}
	}
}

// TestOtherPortsOfIptables has the same of iptables-legacy.
func TestOtherPortsOfIptables(t *testing.T) {
	t.Parallel()
	const udp = 17
	for _, r := range []struct{ rule, want string }{
		{"-p udp --dport 5300 -j REDIRECT --to-ports 53", "5300 1 5301"}, {"-p udp --dport 5300 -j REDIRECT --to-ports 54", ""}, {"-p udp -j REDIRECT", ""},
		{"-p udp --dport 5300 -j DNAT --to-destination 10.0.0.1:50-60", "5300 1 5301, by chance"}, {"-p udp --dport 5300 -j DNAT --to-destination 10.0.0.1", ""},
		{"-p udp --dport 5300 -j DNAT --to-destination 10.0.0.1:50-60/5300", "5300 1 5301, by chance"}, {"-p udp --dport 5300 -j TPROXY --on-port 53", "5300 1 5301"},
	} {
		tables, err := inspect.ParseLegacy("iptables-legacy", "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING "+r.rule+"\nCOMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
		set := &inspect.Ruleset{Legacy: tables}
		got, chance := "", ""
		for _, f := range rules.Translated(set).Ports {
			if f.Chance {
				chance = ", by chance"
			}
			if f.Makes(udp, 53) {
				got = strings.Trim(fmt.Sprint(rules.OtherPorts([]rules.Forwarding{f}, rules.Named(set), udp, 53)), "[]") + chance
			}
		}
		if got != r.want {
			t.Errorf("%s: %q, want %q", r.rule, got, r.want)
		}
	}
}
