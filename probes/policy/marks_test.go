package policy_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// What rules make of a packet's mark is followed on its way, whole or bit by bit; what a link brings has none.
func TestOfMarks(t *testing.T) {
	t.Parallel()
	wantPolicy(t, policyOf(t, office(`
table inet mangle {
	chain prerouting {
		type filter hook prerouting priority mangle;
		iifname "lan" tcp dport 80 meta mark set 0x1
		iifname "lan" tcp dport { 80, 81 } meta mark set meta mark or 0x10
	}
}
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		meta mark 0x11 accept comment "both"
		meta mark & 0x10 != 0x10 tcp dport 82 accept comment "neither"
		meta mark & 0x10 == 0x10 drop comment "one"
		iifname "dmz" meta mark != 0 accept comment "none"
	}
}`)), `
		lan -> lan, dmz:
			tcp 80: accepted by "both"
			tcp 81: dropped by "one"
			tcp 82: accepted by "neither"
			all else: dropped by policy drop of inet filter forward
		dmz -> lan, dmz:
			tcp 82: accepted by "neither"
			all else: dropped by policy drop of inet filter forward
		... -> ...:
			...
	`)
}

// A mark that a connection keeps may be any.
func TestOfMarksOfConnections(t *testing.T) {
	t.Parallel()
	wantPolicy(t, policyOf(t, office(`
table inet filter {
	chain prerouting {
		type filter hook prerouting priority mangle;
		tcp dport 80 meta mark set ct mark
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		meta mark 0x7 accept comment "seven"
	}
}`)), `
		lan -> lan, dmz:
			tcp 80: accepted by "seven", or dropped by policy drop of inet filter forward
			all else: dropped by policy drop of inet filter forward
		... -> ...:
			...
	`)
}

// So is what iptables' MARK makes of it, and a rule behind a mark is tried with what gets it.
func TestMarksOfIptables(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.IptablesTool)
	network := office("")
	network.Node("fw").Iptables(`*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i lan -p tcp -m tcp --dport 4433 -j MARK --set-xmark 0x4000/0x4000
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -m mark --mark 0x4000/0x4000 -m comment --comment marked -j ACCEPT
-A FORWARD -m mark --mark 0x1/0x1 -j ACCEPT
-A FORWARD -m string --algo bm --string evil -j DROP
COMMIT
`)
	lab := harness.Up(t, network)
	report := covered(t, lab)
	wantFates(t, report,
		"PREROUTING 1 matched",
		"PREROUTING 0 decided",
		"FORWARD 1 decided",
		"FORWARD 2 needs: a mark, which no rule sets",
		"FORWARD 3 not modelled: it has -m string",
		"FORWARD 0 decided",
	)
	if text, want := report.Rules[4].Text, `-m string --string "evil" --algo bm -j DROP`; text != want {
		t.Errorf("nft has no words for a rule, and it is told as %s, not as %s", text, want)
	}
	p, err := policy.Of(t.Context(), lab, "fw")
	if err != nil {
		t.Fatal(err)
	}
	wantPolicy(t, p, `
		lan -> lan, dmz:
			tcp 4433 in IPv4: accepted by "marked"
			...
		... -> ...:
			...
	`)
}
