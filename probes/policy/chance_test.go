package policy_test

import (
	"testing"

	"github.com/nstest/nstest/probes/policy"
)

// What a limit lets go on in front of a drop meets the rules behind.
func TestCoverBehindLimit(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table inet filter {
	chain syn { limit rate 1/hour burst 2 packets return ; drop ; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state vmap { established : accept, invalid : drop }
		tcp flags & (fin|syn|rst|ack) == syn jump syn
		tcp flags & (fin|syn|rst|ack) != syn ct state new drop
		ip saddr 10.0.1.64/26 tcp dport 80 drop
		tcp dport 80 accept
		tcp dport 443 accept
		ip saddr 10.0.1.0/24 udp dport 53 accept
	}
}`),
		"syn 1 matched",
		"syn 2 decided",
		"forward 1 decided",
		"forward 2 matched",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 decided",
		"forward 6 decided",
		"forward 7 decided",
		"forward 0 decided",
	)
}

// So it is of iptables' usual chain against floods of SYN.
func TestCoverBehindSynChain(t *testing.T) {
	t.Parallel()
	report := coveredIptables(t, `*filter
:FORWARD DROP
:SYN -
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp --syn -j SYN
-A FORWARD -p tcp ! --syn -m state --state NEW -j DROP
-A FORWARD -p tcp --dport 80 -j ACCEPT
-A FORWARD -p tcp --dport 443 -j ACCEPT
-A SYN -m limit --limit 1/hour --limit-burst 3 -j RETURN
-A SYN -j DROP
COMMIT
`)
	for _, r := range report.Rules {
		if r.Chain == "FORWARD" && (r.Fate != policy.Decided && r.Position != 2) {
			t.Errorf("%s", r)
		}
	}
}
