package policy_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// A rule that does nothing but reject is told apart from one that rejects otherwise, and not from one that says the same in
// other words.
func TestCompareRefusals(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	last := func(family, words string) string {
		return "table " + family + " filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0;\n\t\t" + words + "\n\t}\n}\n"
	}
	for _, c := range []struct {
		family, before, after string
		refusals              []string // of one change for each family, after
	}{
		{"inet", "reject", "reject with icmpx admin-prohibited", []string{"icmp admin-prohibited", "icmpv6 admin-prohibited"}},
		{"inet", "reject", `reject comment "no, reject with icmpx host-unreachable"`, nil},
		{"inet", "reject", "reject with icmpx port-unreachable", nil},
		{"inet", "reject with icmpx host-unreachable", "reject with icmpx no-route", []string{"icmp net-unreachable", "icmpv6 no-route"}},
		{"ip", "reject with icmp host-prohibited", "reject with icmp net-prohibited", []string{"icmp net-prohibited"}},
		{"ip6", "reject with icmpv6 addr-unreachable", "reject with icmpv6 policy-fail", []string{"icmpv6 policy-fail"}},
		{"inet", "tcp dport 113 reject with icmpx port-unreachable", "tcp dport 113 reject with tcp reset", []string{"tcp reset", "tcp reset"}},
	} {
		d := compared(t, lab, last(c.family, c.before), last(c.family, c.after))
		if len(d.Changes) != len(c.refusals) {
			t.Errorf("%s for %s: %s", c.after, c.before, d)
			continue
		}
		for i, change := range d.Changes {
			if got := change.After.Refusal; got != c.refusals[i] {
				t.Errorf("%s for %s: it refuses by %s, and not by %s", c.after, c.before, got, c.refusals[i])
			}
		}
	}
}

// What is told of iptables' REJECT is what nft's words for it are told as.
func TestRefusalsOfIptables(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool, harness.IptablesTool)
	lab := harness.Up(t, office(""))
	for with, words := range map[string]string{
		"icmp-net-unreachable": "icmp net-unreachable", "icmp-host-prohibited": "icmp host-prohibited", "icmp-admin-prohibited": "icmp admin-prohibited",
		"tcp-reset": "tcp reset",
	} {
		nft := "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority 0;\n\t\tmeta l4proto tcp reject with " + words + "\n\t}\n}\n"
		d, err := policy.CompareRules(t.Context(), lab, "fw", nft, "*filter\n-A FORWARD -p tcp -j REJECT --reject-with "+with+"\nCOMMIT\n")
		if err != nil || !d.Empty() {
			t.Errorf("%s: %v\n%s", with, err, d)
		}
	}
}
