package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// judge writes down which packets of the space come past all other rules.
const judge = `
table inet judge {
	set tcp4 { typeof meta iif . ip ttl . ip saddr . ip daddr . tcp dport . tcp flags; flags dynamic; size 65535; }
	set tcp6 { typeof meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . tcp dport . tcp flags; flags dynamic; size 65535; }
	set udp4 { typeof meta iif . ip ttl . ip saddr . ip daddr . udp dport; flags dynamic; size 65535; }
	set udp6 { typeof meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . udp dport; flags dynamic; size 65535; }
	set icmp4 { typeof meta iif . ip ttl . ip saddr . ip daddr . meta l4proto . @th,0,8; flags dynamic; size 65535; }
	set icmp6 { typeof meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . meta l4proto . @th,0,8; flags dynamic; size 65535; }
	set rest4 { typeof meta iif . ip ttl . ip saddr . ip daddr . meta l4proto; flags dynamic; size 65535; }
	set rest6 { typeof meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . meta l4proto; flags dynamic; size 65535; }
	chain forward {
		type filter hook forward priority 500;
		update @tcp4 { meta iif . ip ttl . ip saddr . ip daddr . tcp dport . tcp flags } accept
		update @tcp6 { meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . tcp dport . tcp flags } accept
		update @udp4 { meta iif . ip ttl . ip saddr . ip daddr . udp dport } accept
		update @udp6 { meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . udp dport } accept
		meta l4proto { icmp, ipv6-icmp } update @icmp4 { meta iif . ip ttl . ip saddr . ip daddr . meta l4proto . @th,0,8 } accept
		meta l4proto { icmp, ipv6-icmp } update @icmp6 { meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . meta l4proto . @th,0,8 } accept
		update @rest4 { meta iif . ip ttl . ip saddr . ip daddr . meta l4proto } accept
		update @rest6 { meta iif . ip6 hoplimit . ip6 saddr . ip6 daddr . meta l4proto } accept
	}
}
`

// let are the packets of the space that rules let through.
func let(t *testing.T, lab *harness.Lab, rules string) []string {
	t.Helper()
	fw := lab.Node("fw")
	if err := fw.Nft("flush ruleset\n" + rules + judge); err != nil {
		t.Fatal(err)
	}
	sendSpace(t, lab)
	var all []string
	for _, table := range rulesOf(t, fw).Tables {
		for _, set := range table.Sets {
			if table.Name == "judge" {
				for _, e := range set.Elements {
					all = append(all, fmt.Sprintf("%s %x", set.Name, e.Key))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// Two rulesets are told apart where they let other packets of the whole space through, and never else.
func TestCompareAgainstTheWholeSpace(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for seed := range uint64(seeds()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 16))
			before := generated(r)
			kind, after := mutated(r, before)
			lab := harness.Up(t, sides(""))
			d, err := policy.CompareRules(t.Context(), lab, "fw", before, after)
			if err != nil {
				t.Fatal(err)
			}
			a, b := let(t, lab, before), let(t, lab, after)
			t.Logf("%s: %d packets are let through, %d after, %d kinds are told", kind, len(a), len(b), len(d.Changes))
			if differ := !slices.Equal(a, b); differ == d.Empty() {
				t.Errorf("seed %d, %s: they differ: %v (%s), and it says:\n%s\n%s\n%s", seed, kind, differ, firstApart(a, b), d, before, after)
			}
			if len(d.Notes) > 0 {
				t.Errorf("seed %d: %s", seed, d)
			}
		})
	}
}
