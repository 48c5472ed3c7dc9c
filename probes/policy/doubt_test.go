package policy_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

const (
	inForward = "table inet t {\nchain forward {\ntype filter hook forward priority 0\n"
	inPost    = "table ip t {\nchain post {\ntype nat hook postrouting priority 100\n"
)

// What chance, a secret or a count decides at two nodes is no change of the rules.
func TestCompareDoubts(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	const other = "\nip saddr 192.0.2.1 ip saddr 192.0.2.2 drop"
	for _, rules := range []string{
		inForward + "numgen random mod 2 0 drop", inForward + "jhash ip saddr . tcp sport mod 2 0 drop", inForward + "limit rate 1/hour burst 7 packets accept\ndrop",
		inForward + "quota until 400 bytes accept\ndrop", inPost + "oifname dmz masquerade random", inPost + "oifname dmz meta l4proto tcp snat to 10.0.2.40-10.0.2.49:2000-2999 fully-random",
	} {
		if d := compared(t, lab, rules+"\n}\n}", rules+other+"\n}\n}"); !d.Empty() {
			t.Errorf("%s\n}\n}: with a rule more, of nothing, it says %s", rules, d)
		}
	}
}

// What a change does besides to let packets through or not is told, or that it was not compared.
func TestCompareTellsOrNotes(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	for _, c := range []struct{ before, after, says string }{
		{inForward + "tcp dport 22 accept", inForward + "tcp dport 22 ip ttl set 1 accept", "now has another TTL: "},
		{inForward + "tcp dport 22 accept", inForward + "tcp dport 22 ip6 dscp set cs1 accept", "with traffic class 0x20"},
		{inForward + "tcp flags syn accept", inForward + "tcp flags syn tcp option maxseg size set 500 accept", "the option that it writes"},
		{inForward + "limit rate 1/second accept\ndrop", inForward + "limit rate 1000/second accept\ndrop", "not compared: rule 1 of inet t forward (limit rate 1/second accept), before, in another state"},
		{inForward + "limit rate 1/hour burst 1 packets accept\ndrop", inForward + "tcp dport 22 accept\nlimit rate 1/hour burst 1 packets accept\ndrop", "now is let through: "},
		{
			"table ip t {\nchain pre {\ntype filter hook prerouting priority 0", "table ip t {\nchain pre {\ntype filter hook prerouting priority 0\ntcp dport 22 dup to 10.0.2.1 device dmz",
			"after: the copy that it sends",
		},
	} {
		if d := compared(t, lab, c.before+"\n}\n}", c.after+"\n}\n}"); !strings.Contains(d.String(), c.says) {
			t.Errorf("%s\n}\n}: now\n%s\n}\n}: it says %s", c.before, c.after, d)
		}
	}
}
