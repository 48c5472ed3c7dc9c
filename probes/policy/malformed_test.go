package policy_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
)

// What iptables takes for malformed it drops, though the rule that finds out accepts: it is modelled, and is said.
func TestMalformed(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.IptablesTool)
	network := office("")
	network.Node("fw").Iptables("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT\n-A FORWARD -p icmp -j ACCEPT\nCOMMIT\n", topo.NfTables)
	lab := harness.Up(t, network)
	p, err := policy.Of(t.Context(), lab, "fw")
	if err != nil {
		t.Fatal(err)
	}
	if text := p.String(); !strings.Contains(text, "icmp cut short before its type: dropped by rule (") || !strings.Contains(text, "accept), which takes it for malformed") || strings.Contains(text, "not known") {
		t.Error(text)
	}
	report := covered(t, lab)
	for _, r := range report.Rules {
		if r.Chain == "FORWARD" && r.Position == 1 && r.Fate != policy.Decided {
			t.Errorf("without it malformed packets pass, and it is %s", r.Fate)
		}
	}
}
