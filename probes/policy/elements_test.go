package policy_test

import (
	"strings"
	"testing"
)

// A set that no rule changes has the elements that it has, though some may end by themselves: what is in it is tried.
func TestCoverSetsWithTimeouts(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table inet filter {
	set banned { type ipv4_addr; flags timeout; elements = { 10.0.1.77 timeout 1h } }
	set open { type inet_service; flags dynamic,timeout; timeout 1d; elements = { 8080, 8081 timeout 3h } }
	set brief { type ipv4_addr; flags timeout; elements = { 10.0.1.78 timeout 50s } }
	set seen { type ipv4_addr; flags dynamic,timeout; timeout 1h; elements = { 10.0.1.79 } }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ip saddr @banned drop
		ip saddr 10.0.1.77 tcp dport 22 accept
		tcp dport @open accept
		ip saddr @brief drop
		ip saddr 10.0.1.78 tcp dport 22 accept
		tcp dport 25 update @seen { ip saddr }
		ip saddr @seen tcp dport 23 accept
		tcp dport 443 accept
	}
}`)
	wantFates(t, report,
		"forward 1 decided",
		"forward 2 shadowed: rule 1 of inet filter forward (ip saddr @banned drop)",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 needs: packets that meet it in another state: it depends on the timeouts of the elements of set brief",
		"forward 6 matched",
		"forward 7 decided",
		"forward 8 decided",
		"forward 0 decided",
	)
	if without := report.Rules[2].Without; without == nil || without.Passed {
		t.Errorf("without a rule about a set that stays its packets are not shown to be dropped: %v", without)
	}
}

// What such a set has is told apart from what it has not.
func TestOfSetsWithTimeouts(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table inet filter {
	set banned { type ipv4_addr; flags timeout; elements = { 10.0.1.77 timeout 1h } }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ip saddr @banned drop comment "banned"
		iifname "lan" oifname "dmz" tcp dport 80 accept comment "web"
	}
}`))
	want := `lan -> dmz:
  from 10.0.1.77: dropped by "banned"
  tcp 80 from all but 10.0.1.77: accepted by "web"
  tcp 80 in IPv6: accepted by "web"
  all else: dropped by policy drop of inet filter forward
`
	if !strings.Contains(p.String(), want) {
		t.Errorf("%s\nwanted:\n%s", p, want)
	}
}
