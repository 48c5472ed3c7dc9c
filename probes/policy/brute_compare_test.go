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

// mutated is a ruleset with one rule as people get it wrong.
func mutated(r *rand.Rand, rules string) string {
	lines := strings.Split(rules, "\n")
	var at []int
	for i, line := range lines {
		if strings.HasPrefix(line, "\t\t") && strings.TrimSpace(line) != "counter" && !strings.Contains(line, "type filter") {
			at = append(at, i)
		}
	}
	for range 100 {
		i := at[r.IntN(len(at))]
		line, changed := lines[i], ""
		switch r.IntN(8) {
		case 0:
			return strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "\n")
		case 1:
			if strings.HasPrefix(lines[i+1], "\t\t") && i+1 < len(lines)-3 {
				made := slices.Clone(lines)
				made[i], made[i+1] = made[i+1], made[i]
				return strings.Join(made, "\n")
			}
			continue
		case 2:
			changed = strings.NewReplacer("accept", "drop", "drop", "accept").Replace(line)
		case 3:
			changed = strings.NewReplacer("22", "23", "80", "79").Replace(line)
		case 4:
			changed = strings.NewReplacer("lan", "dmz", "dmz", "lan").Replace(line)
		case 5:
			changed = strings.NewReplacer("0/25", "0/24", "0/24", "0/25", "0/30", "0/25", "64/26", "0/25", "::/64", "::0/120").Replace(line)
		case 6:
			changed = strings.NewReplacer("tcp dport", "udp dport", "udp dport", "tcp dport").Replace(line)
		case 7:
			changed = strings.NewReplacer(" != ", " ", "saddr", "daddr", "daddr", "saddr").Replace(line)
		}
		if changed != line {
			made := slices.Clone(lines)
			made[i] = changed
			return strings.Join(made, "\n")
		}
	}
	return rules
}

// Two rulesets are told apart where they let other packets of the whole space through, and never else.
func TestCompareAgainstTheWholeSpace(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for seed := range uint64(seeds()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 16))
			before := generated(r)
			after := mutated(r, before)
			lab := harness.Up(t, sides(""))
			d, err := policy.CompareRules(t.Context(), lab, "fw", before, after)
			if err != nil {
				t.Fatal(err)
			}
			a, b := let(t, lab, before), let(t, lab, after)
			t.Logf("%d packets are let through, %d after, %d kinds are told", len(a), len(b), len(d.Changes))
			if differ := !slices.Equal(a, b); differ == d.Empty() {
				first := ""
				for _, p := range slices.Concat(a, b) {
					if slices.Contains(a, p) != slices.Contains(b, p) {
						first = p
						break
					}
				}
				t.Errorf("seed %d: they differ: %v (%s), and it says:\n%s\n%s\n%s", seed, differ, first, d, before, after)
			}
			if len(d.Notes) > 0 {
				t.Errorf("seed %d: %s", seed, d)
			}
		})
	}
}
