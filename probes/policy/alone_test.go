package policy_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

// What a limit lets through once is told, though a rule stands in front of it, and other packets have taken the limit's room.
func TestCompareTellsWhatLimitsLetThrough(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	for _, rule := range []string{"limit rate 1/hour burst 1 packets accept", "tcp dport 1-100 meter m { ip saddr limit rate 1/hour burst 1 packets } accept"} {
		before := "table ip t {\nchain forward {\ntype filter hook forward priority 0; policy drop;\ntcp dport 22 return\n" + rule + "\n}\n}"
		d := compared(t, lab, before, strings.Replace(before, "22", "23", 1)).String()
		for _, says := range []string{":22 SYN, in by lan\n  before: dropped by policy drop", "after:  let through by rule 2", ":23 SYN, in by lan\n  before: let through by rule 2"} {
			if !strings.Contains(d, says) {
				t.Errorf("%s, behind another return: it does not say %q:\n%s", rule, says, d)
			}
		}
		if d := compared(t, lab, before, strings.Replace(before, "tcp dport 22 return", "counter\ntcp dport 22 return", 1)); !d.Empty() || len(d.Notes) > 0 {
			t.Errorf("%s, behind a counter: %s", rule, d)
		}
	}
}

// A change behind what a limit takes is not compared, and it is said.
func TestCompareNotesWhatLimitsHide(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	for _, limit := range []string{"limit rate 1/hour burst 3 packets accept", "limit rate 1000/second burst 1000 packets accept"} {
		before := "table ip t {\nchain forward {\ntype filter hook forward priority 0\n" + limit + "\ntcp dport 22 drop\n}\n}"
		d := compared(t, lab, before, strings.Replace(before, "22", "23", 1))
		if want := "what rule 1 of ip t forward decides"; !strings.Contains(d.String(), want) {
			t.Errorf("%s: it says nothing of %s: %s", limit, want, d)
		}
	}
}

// A limit that has changed may have no room left, by other packets of the comparison: what it would let through is told.
func TestCompareTellsOfChangedLimits(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	before := "table inet t {\nchain input {\ntype filter hook input priority 0; policy drop;\ntcp dport 22 ct state new limit rate 3/minute burst 3 packets accept\n}\n}"
	d := compared(t, lab, before, strings.Replace(before, "tcp dport 22", "tcp dport 22 ip saddr 10.0.1.0/24", 1)).String()
	if says := "at fw now is stopped: tcp 10.0.2.1"; !strings.Contains(d, says) {
		t.Errorf("it does not say %q:\n%s", says, d)
	}
}
