package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// Two rules that do the same with the packets that are sent first, and not with all, do not stand for one another.
func TestRulesThatDoOtherwiseAreNotRedundant(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table ip nat {
	chain pre {
		type nat hook prerouting priority dstnat;
		iifname "lan" dnat to tcp dport map { 8080 : 10.0.2.1, 8081 : 10.0.2.1 }
		dnat to tcp dport map { 8080 : 10.0.2.1, 8081 : 10.0.2.3 }
		iifname "lan" dnat to udp dport map { 8080 : 10.0.2.1, 8081 : 10.0.2.3 }
		dnat to udp dport map { 8080 : 10.0.2.1, 8081 : 10.0.2.3 }
	}
}`)
	for position, redundant := range map[int]bool{1: false, 3: true} {
		at := slices.IndexFunc(report.Rules, func(r policy.Rule) bool { return r.Position == position })
		if r := report.Rules[at]; (r.Fate == policy.Redundant) != redundant {
			t.Errorf("%s\n%s", r, report)
		}
	}
}

// Where a map gives some packets other data, those are told, and no others.
func TestCompareMaps(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	rules := func(elements string) string {
		return "table ip nat {\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat;\n\t\tiifname \"lan\" dnat to ip daddr . tcp dport map { " + elements + " }\n\t}\n}\n"
	}
	const first = "10.0.1.2 . 79 : 10.0.2.1 . 8079, 10.0.1.2 . 80 : 10.0.2.1 . 8080, 10.0.1.2 . 81 : 10.0.2.1 . 8081, 10.0.1.2 . 82 : 10.0.2.1 . 8082"
	for last, want := range map[string]uint16{"8443": 0, "443": 443} {
		d := compared(t, lab, rules(first+", 10.0.1.2 . 443 : 10.0.2.1 . 8443"), rules("10.0.1.2 . 443 : 10.0.2.1 . "+last+", "+first))
		if want == 0 {
			if !d.Empty() || len(d.Moved) > 0 {
				t.Error(d)
			}
			continue
		}
		if len(d.Changes) != 1 || d.Changes[0].Witness[0].Destination.Port() != 443 || d.Changes[0].After.Destination.Port() != want {
			t.Error(d)
		}
	}
}

// A rule that marks a class of traffic leaves all others as they are: what there is not is told behind it, too, and is what
// counters say of the whole space.
func TestCoverBehindATrafficClass(t *testing.T) {
	harness.Require(t, harness.NftTool)
	const few = 3
	for seed := range uint64(few) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rules := generated(rand.New(rand.NewPCG(seed, 21))) + `
table inet mangle {
	chain first {
		type filter hook forward priority mangle;
		tcp dport 22 ip dscp set cs5
		tcp dport 22 ip6 dscp set cs5
	}
}
`
			lab := harness.Up(t, sides(rules))
			report := covered(t, lab)
			counts := sendSpace(t, lab)
			if wrong := disagree(report, counts); wrong != "" || len(report.Of(policy.NotModelled)) > 0 {
				t.Errorf("seed %d: %s\n%s\n%s", seed, wrong, report, rules)
			}
		})
	}
}
