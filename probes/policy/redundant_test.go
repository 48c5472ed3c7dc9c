package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// lines are the numbers of a generated ruleset's lines that have rules, by chain and position.
func lines(rules string) map[string]int {
	made, chain, position := map[string]int{}, "", 0
	for i, line := range strings.Split(rules, "\n") {
		switch {
		case strings.HasPrefix(line, "\tchain "):
			chain, position = strings.Fields(line)[1], 0
		case isRule(line):
			position++
			made[fmt.Sprintf("%s %d", chain, position)] = i
		}
	}
	return made
}

// without is a text without one line.
func without(text string, line int) string {
	return strings.Join(slices.Delete(strings.Split(text, "\n"), line, line+1), "\n")
}

// A rule is redundant where the whole space is treated alike without it, and never else; where it is not, its witness is told to be
// treated otherwise.
func TestRedundantAgainstTheWholeSpace(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for seed := range uint64(seeds()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rules := generated(rand.New(rand.NewPCG(seed, 17)))
			lab := harness.Up(t, sides(rules))
			report, at := covered(t, lab), lines(rules)
			whole := let(t, lab, rules)
			for _, r := range report.Of(policy.Decided, policy.Redundant) {
				if r.Position == 0 {
					continue
				}
				rest := let(t, lab, without(rules, at[fmt.Sprintf("%s %d", r.Chain, r.Position)]))
				same := slices.Equal(whole, rest)
				beyond := strings.Contains(r.Why, "in by lo, ") || strings.HasSuffix(r.Why, "in by lo") // which the space has not
				if same != (r.Fate == policy.Redundant || beyond) || (r.Without == nil) != beyond {
					t.Errorf("seed %d: without it the same packets are let through: %v, and it says: %s\n%s", seed, same, r, rules)
				}
			}
			t.Logf("%d decided, %d redundant", len(report.Of(policy.Decided)), len(report.Of(policy.Redundant)))
		})
	}
}

// What a rule does besides a verdict, and what it keeps from others, makes it no less needed.
func TestCoverOfRedundantRules(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table inet filter {
	set seen { type ipv4_addr; flags dynamic; size 100; }
	chain twice { tcp dport 70 drop; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		tcp dport 10 accept
		tcp dport 10 accept
		tcp dport 10-11 accept
		tcp dport 20 log drop
		tcp dport 21 drop
		tcp dport 30 accept
		tcp dport 30-31 limit rate 1/second accept
		tcp dport 30 accept
		udp dport 40 accept
		meta nfproto ipv4 udp dport 40-41 update @seen { ip saddr }
		udp dport 40 accept
		tcp dport 60 reject
		tcp dport 60-61 reject with tcp reset
		tcp dport 70 jump twice
		tcp dport 71 meta mark set 1 accept
		tcp dport 71 meta mark set 2 accept
		tcp dport 72 meta mark set 1 accept
		tcp dport 72-73 meta mark set 1 accept
	}
}`)
	const unknown = "whether packets meet another verdict without it is not known"
	const needed = "filter forward" // by whom it would be decided
	for i, want := range map[int]string{
		1: "redundant", 3: needed, 4: "without it nobody tells of its packets", 5: "redundant", 6: unknown,
		9: unknown, 12: needed, 13: needed, 15: "no packet was seen to meet another verdict without it", 17: "redundant", 18: needed,
	} {
		at := slices.IndexFunc(report.Rules, func(r policy.Rule) bool { return r.Chain == "forward" && r.Position == i })
		r := report.Rules[at]
		switch {
		case want == "redundant" && r.Fate == policy.Redundant && r.Without != nil:
		case want == needed && r.Fate == policy.Decided && r.Without != nil && strings.Contains(r.Without.String(), needed):
		case want == r.Why && r.Fate == policy.Decided && r.Without == nil:
		default:
			t.Errorf("rule %d is not %s: %s (%s)", i, want, r, r.Why)
		}
	}
	twice := report.Rules[0]
	if twice.Fate != policy.Redundant || twice.Without.String() != "dropped by policy drop of inet filter forward" {
		t.Errorf("%s", twice)
	}
}

// Packets of connections are tried without the rule, too, and what NAT makes of them.
func TestCoverOfRedundantConnections(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table ip filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established accept
		ct state established accept
		iifname "lan" accept
	}
}
table ip nat {
	chain prerouting {
		type nat hook prerouting priority -100;
		tcp dport 81 dnat to 10.0.2.1:80
		tcp dport 81-82 dnat to 10.0.2.1:80
		tcp dport 82 dnat to 10.0.2.1:80
	}
	chain postrouting {
		type nat hook postrouting priority 100;
		oifname "dmz" tcp dport 80 masquerade
		oifname "dmz" masquerade
	}
}`)
	wantFates(t, report,
		"forward 1 redundant", "forward 2 shadowed: rule 1 of ip filter forward (ct state established accept)", "forward 3 decided", "forward 0 decided",
		"prerouting 1 redundant", "prerouting 2 redundant", "prerouting 3 shadowed: rule 2 of ip nat prerouting (tcp dport 81-82 dnat to 10.0.2.1:80)", "prerouting 0 decided",
		"postrouting 1 redundant", "postrouting 2 decided", "postrouting 0 decided")
	if got := report.Rules[2]; !strings.HasPrefix(got.Without.String(), "dropped by policy drop") || len(got.Witness) != 1 {
		t.Errorf("%s", got)
	}
}
