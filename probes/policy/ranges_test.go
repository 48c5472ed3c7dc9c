package policy_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

const ranges = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m iprange --src-range 10.0.1.1-10.0.1.10 ! --dst-range 10.0.2.9-10.0.2.255 -j ACCEPT
-A FORWARD -m iprange --src-range 10.0.1.4-10.0.1.6 -d 10.0.2.1 -j DROP
-A FORWARD -m iprange --src-range 10.0.1.10-10.0.1.20 -j ACCEPT
COMMIT
`

// A range of addresses of iptables is modelled: a change of its end is told, and a rule behind it is shadowed.
func TestRangesOfIptables(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool, harness.IptablesTool)
	lab := harness.Up(t, office(""))
	for _, c := range []struct{ from, to, says string }{
		{"10.0.1.10-10.0.1.20", "10.0.1.10-10.0.1.30", "now is let through"}, {"10.0.1.10-10.0.1.20", "10.0.1.12-10.0.1.20", "now is stopped"},
		{"10.0.2.9-10.0.2.255", "10.0.2.2-10.0.2.255", "now is stopped"}, {"10.0.1.4-10.0.1.6", "10.0.1.4-10.0.1.9", ""},
	} {
		d := compared(t, lab, ranges, strings.Replace(ranges, c.from, c.to, 1))
		if c.says == "" && d.Empty() && len(d.Notes) == 0 {
			continue
		}
		if len(d.Changes) == 0 || !strings.Contains(d.Changes[0].String(), "at fw "+c.says+": ") {
			t.Errorf("%s for %s: %s", c.to, c.from, d)
		}
	}
	network := office("")
	network.Node("fw").Iptables(ranges)
	report := covered(t, harness.Up(t, network))
	for _, r := range report.Rules {
		if want := map[int]policy.Fate{1: policy.Decided, 2: policy.Shadowed, 3: policy.Decided}[r.Position]; r.Chain == "FORWARD" && r.Position > 0 && r.Fate != want {
			t.Errorf("rule %d is not %s: %s", r.Position, want, report)
		}
	}
}
