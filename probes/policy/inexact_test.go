package policy_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
)

// A change of a rule of which the model does not know all packets, or before such a rule, is told where the kernels show it.
func TestCompareRulesThatAreNotModelled(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	rules := func(hook, words string) string {
		return "table inet filter {\n\tchain c {\n\t\ttype filter hook " + hook + " priority 0; policy drop;\n\t\t" + words + "\n\t}\n}\n"
	}
	for _, c := range []struct {
		hook, before, after string
		same                bool
	}{
		{"output", "meta skuid 0 tcp dport { 80, 443 } accept", "meta skuid 0 tcp dport 80 accept", false},
		{"forward", "tcp dport 22 limit rate 1000/second burst 1000 packets accept", "tcp dport 23 limit rate 1000/second burst 1000 packets accept", false},
		{"forward", "ip saddr 10.0.1.64/26 drop\n\t\ticmp type echo-request limit rate 1000/second burst 1000 packets accept", "icmp type echo-request limit rate 1000/second burst 1000 packets accept", false},
		{"forward", "fib saddr . iif oif missing drop\n\t\taccept", "accept", false},
		{"forward", "ip saddr 10.0.1.1 meta length 1-60 tcp dport 22 accept", "ip saddr 10.0.1.1 meta length 1-60 tcp dport 23 accept", false},
		{"forward", "ct state new meta length 1-60 tcp dport 22 accept", "meta length 1-60 ct state new tcp dport { 22 } accept", true},
	} {
		d := compared(t, lab, rules(c.hook, c.before), rules(c.hook, c.after))
		if d.Empty() != c.same {
			t.Errorf("%s for %s: %s", c.after, c.before, d)
		}
	}
}
