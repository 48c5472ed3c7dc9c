package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// steps reads "pass:2 side:1 pass:policy": chains of table inet t, and places of rules.
func steps(t *testing.T, set *inspect.Ruleset, text string) (list []rules.Step) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		name, place, _ := strings.Cut(word, ":")
		step := rules.Step{Family: "inet", Table: "t", Chain: name}
		var n int
		if _, err := fmt.Sscan(place, &n); err == nil {
			step.Handle = set.Chain("inet", "t", name).Rules[n-1].Handle
		}
		list = append(list, step)
	}
	return list
}

const limited = "tcp dport 443 limit rate 1/minute accept"

func TestDeciding(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	drop := "chain pass { type filter hook forward priority 0; policy drop; "
	open := "chain pass { type filter hook forward priority 0; policy accept; "
	pre := "chain pre { type filter hook prerouting priority -150; "
	for _, c := range []struct {
		name, text, steps string
		packet            rules.Packet
		want              string
	}{
		{"a limit before a policy", drop + limited + "; };", "pass:policy", tcp(443), "pass:1"},
		{"that does not match", drop + limited + "; };", "pass:policy", tcp(22), ""},
		{"nor a ping", drop + limited + "; };", "pass:policy", ping(), ""},
		{"nor may it be known", drop + limited + "; };", "pass:policy", with(tcp(443), func(p *rules.Packet) { p.DstPort = nil }), "pass:1"},
		{"a limit after the rule that drops", drop + "tcp dport 443 drop; " + limited + "; };", "pass:1", tcp(443), ""},
		{"a limit before it", drop + limited + "; tcp dport 443 drop; };", "pass:2", tcp(443), "pass:1"},
		{"a limit that only logs", drop + "limit rate 1/minute log; counter; };", "pass:2 pass:policy", tcp(443), ""},
		{"a limit that drops, then a policy that drops", drop + "limit rate over 1/minute drop; };", "pass:1", tcp(443), ""},
		{"a limit that drops, then a policy that accepts", open + "limit rate over 1/minute drop; };", "pass:1", tcp(443), "pass:1"},
		{"a limit that drops, then a rule that may accept", drop + "limit rate over 1/minute drop; tcp dport 443 accept; };", "pass:1", tcp(443), "pass:1"},
		{"a limit that drops, then one that does not", drop + "limit rate over 1/minute drop; tcp dport 22 accept; };", "pass:1", tcp(443), ""},
		{"a limit that returns from the base chain", open + "limit rate 1/minute return; drop; };", "pass:2", tcp(443), "pass:1"},
		{"a limit that drops, not met", drop + "limit rate over 1/minute drop; };", "pass:policy", tcp(443), ""},
		{"a set of first SYNs", open + "tcp flags syn ip saddr != @moves add @moves { ip saddr } drop; };", "pass:1", tcp(443), "pass:1"},
		{"a set that rules fill", drop + "ip saddr @moves accept; }; chain fill { add @moves { ip saddr }; };", "pass:policy", tcp(443), "pass:1"},
		{"a set that none fills", drop + "ip saddr @quiet accept; };", "pass:policy", tcp(443), ""},
		{"numgen", drop + "numgen inc mod 2 0 accept; };", "pass:policy", tcp(443), "pass:1"},
		{"numgen in a map", open + "numgen inc mod 2 vmap { 0 : accept, 1 : drop }; };", "pass:1", tcp(443), "unread"},
		{"a jump that is not made", drop + "limit rate 1/minute jump side; }; chain side { accept; };", "pass:policy", tcp(443), "pass:1"},
		{"a jump to what drops", drop + "limit rate 1/minute jump side; }; chain side { drop; };", "pass:policy", tcp(443), ""},
		{"a jump to what returns", drop + "limit rate 1/minute jump side; }; chain side { tcp dport 22 accept; };", "pass:policy", tcp(443), ""},
		{"a jump that comes back to what accepts", drop + "limit rate over 1/minute goto side; accept; }; chain side { tcp dport 22 accept; };", "pass:1 pass:policy", tcp(443), "pass:1"},
		{"a limit in a chain that was jumped to", drop + "jump side; drop; }; chain side { limit rate 1/minute accept; };", "pass:1 pass:2", tcp(443), "side:1"},
		{"one in a chain that was not", drop + "tcp dport 22 jump side; drop; }; chain side { limit rate 1/minute accept; };", "pass:2", tcp(443), ""},
		{"a return that is not made", drop + "jump side; accept; }; chain side { limit rate 1/minute return; drop; };", "pass:1 side:2", tcp(443), "side:1"},
		{"a limit of an earlier chain that accepts anyhow", pre + limited + "; }; " + drop + "};", "pre:policy pass:policy", tcp(443), ""},
		{"a mark by a limit", pre + "limit rate 1/minute meta mark set 1; }; " + drop + "meta mark 1 accept; };", "pre:policy pass:policy", tcp(443), "pre:1"},
		{"a mark that a limit takes away", pre + "limit rate 1/minute accept; meta mark set 1; }; " + open + "meta mark 1 drop; };", "pre:2 pre:policy pass:1", tcp(443), "pre:1"},
		{"a mark that only a ping gets", pre + "ip protocol icmp limit rate 1/minute meta mark set 1; }; " + drop + "meta mark 1 accept; };", "pre:policy pass:policy", tcp(443), ""},
		{"DNAT in turn", "chain nat { type nat hook prerouting priority -100; numgen inc mod 2 0 dnat ip to 10.0.0.1; }; " + drop + "};", "nat:1 pass:policy", tcp(443), "nat:1"},
		{"DNAT in turn, not this time", "chain nat { type nat hook prerouting priority -100; numgen inc mod 2 0 dnat ip to 10.0.0.1; }; " + drop + "};", "nat:policy pass:policy", tcp(443), "nat:1"},
		{"DNAT of another port", "chain nat { type nat hook prerouting priority -100; tcp dport 80 numgen inc mod 2 0 dnat ip to 10.0.0.1; }; " + drop + "};", "nat:policy pass:policy", tcp(443), ""},
		{"after DNAT the port is not known", "chain nat { type nat hook prerouting priority -100; tcp dport 80 dnat ip to 10.0.0.1:443; }; " + drop + limited + "; };", "nat:1 pass:policy", tcp(80), "pass:1"},
		{"users", "chain out { type filter hook output priority 0; policy accept; meta skuid 0 drop; };", "out:1", tcp(443), "out:1"},
		{"users, then a policy", "chain out { type filter hook output priority 0; policy drop; meta skuid 0 drop; };", "out:1", tcp(443), ""},
		{"two limits", drop + limited + "; limit rate 2/minute accept; };", "pass:policy", tcp(443), "pass:1 pass:2"},
		{"a rule that has gone", drop + "};", "pass:7 pass:policy", tcp(443), "unread"},
		{"a chain that has gone", drop + "};", "other:policy", tcp(443), "unread"},
		{"an early drop", pre + "ip saddr @moves drop; }; chain fill { add @moves { ip saddr }; };", "pre:1", tcp(443), "pre:1"},
		{"a mark in the same chain", drop + "limit rate 1/minute meta mark set 1; meta mark 1 accept; };", "pass:policy", tcp(443), "pass:1"},
		{"a jump on the way on", drop + "limit rate over 1/minute drop; jump side; accept; }; chain side { tcp dport 22 drop; };", "pass:1", tcp(443), "pass:1"},
		{"no steps", drop + limited + "; };", "", tcp(443), ""},
		{"a vmap of a known port", drop + "tcp dport vmap { 443 : jump side, 80 : accept }; }; chain side { limit rate 1/minute accept; };", "pass:1 pass:policy", tcp(443), "side:1"},
	} {
		text := "flush ruleset; table inet t { set moves { type ipv4_addr; flags dynamic; size 100; }; set quiet { type ipv4_addr; flags dynamic; }; " + c.text + " }"
		if err := node.Nft(text); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		set := read(t, node)
		var got []string
		list := steps(t, set, strings.ReplaceAll(c.steps, "pass:7", "pass:gone"))
		if strings.Contains(c.steps, "pass:7") {
			list[0].Handle = 999
		}
		for _, m := range rules.Deciding(set, c.packet, list) {
			if rule, ok := m.Rule.(*inspect.Rule); ok {
				got = append(got, fmt.Sprintf("%s:%d", rule.Chain.Name, rule.Position))
			} else {
				got = append(got, m.Kind.String())
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %q", c.name, got, c.want)
		}
	}
}

// With the verdict that the trace tells, a map that may give several is read.
func TestDecidingByVerdict(t *testing.T) {
	t.Parallel()
	set := loaded(t, "table inet t {\nchain pass {\ntype filter hook forward priority 0; policy accept;\nnumgen inc mod 2 vmap { 0 : accept, 1 : drop }\n}\n}\n")
	list := steps(t, set, "pass:1")
	list[0].Verdict = &expr.Verdict{Kind: expr.VerdictDrop}
	found := rules.Deciding(set, tcp(443), list)
	if len(found) != 1 || found[0].Kind != rules.Period || found[0].Period != 2 || found[0].String() != "rule 1 of inet t pass depends on which of 2 packets in turn it is" {
		t.Errorf("%v", found)
	}
}

func TestDecidingLegacy(t *testing.T) {
	t.Parallel()
	tables, err := inspect.ParseLegacy("iptables-legacy", `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:side - [0:0]
-A FORWARD -p tcp -m tcp --dport 443 -m limit --limit 1/min -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 22 -j side
-A FORWARD -i lan -j DROP
-A side -m statistic --mode nth --every 3 --packet 0 -j ACCEPT
COMMIT
`)
	if err != nil {
		t.Fatal(err)
	}
	set := &inspect.Ruleset{Legacy: tables}
	step := func(chain string, n uint64) rules.Step {
		return rules.Step{Family: "iptables-legacy", Table: "filter", Chain: chain, Handle: n}
	}
	for _, c := range []struct {
		packet rules.Packet
		steps  []rules.Step
		want   string
	}{
		{tcp(443), []rules.Step{step("FORWARD", 3)}, "[rule 1 of iptables-legacy filter FORWARD depends on a rate (limit)]"},
		{tcp(80), []rules.Step{step("FORWARD", 3)}, "[]"},
		{tcp(22), []rules.Step{step("FORWARD", 2), step("FORWARD", 3)}, "[rule 1 of iptables-legacy filter side depends on which of 3 packets in turn it is]"},
		{tcp(443), []rules.Step{step("FORWARD", 0)}, "[rule 1 of iptables-legacy filter FORWARD depends on a rate (limit)]"},
		{six(tcp(443)), []rules.Step{step("FORWARD", 0)}, "[]"},
	} {
		if got := fmt.Sprint(rules.Deciding(set, c.packet, c.steps)); got != c.want {
			t.Errorf("%v: %s, want %s", c.steps, got, c.want)
		}
	}
}
