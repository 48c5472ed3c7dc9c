package policy_test

import (
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
