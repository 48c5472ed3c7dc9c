package policy_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

// A port beside the protocol that says what it is is modelled, in sets and maps of several fields; alone it may be of a protocol without ports.
func TestConcatenationsOfAnyPort(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table inet filter {
	set few { type inet_proto . inet_service; elements = { tcp . 22, udp . 53 } }
	set ranges { type ipv4_addr . inet_proto . inet_service; flags interval; elements = { 10.0.2.0/25 . tcp . 80-90, 10.0.2.1 . udp . 123 } }
	map verdicts { type inet_proto . inet_service : verdict; elements = { tcp . 443 : accept, udp . 443 : jump web } }
	chain web { accept; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		meta l4proto . th dport @few accept
		tcp dport 22 accept
		udp dport 52 accept
		ip daddr . meta l4proto . th dport @ranges accept
		ip daddr 10.0.2.1 tcp dport 85-88 drop
		ip daddr 10.0.2.1 tcp dport 85-91 drop
		meta l4proto . th dport vmap @verdicts
		meta l4proto { tcp, udp } th dport 443 drop
		meta l4proto . th dport != { tcp . 7, udp . 7 } drop
		tcp dport 8 drop
		th dport 7 accept
		meta l4proto . th dport { icmp . 0 } drop
	}
}`),
		"web 1 decided",
		"forward 1 decided",
		"forward 2 shadowed: rule 1 of inet filter forward (meta l4proto . th dport @few accept)",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 shadowed: rule 4 of inet filter forward (ip daddr . meta l4proto . th dport @ranges accept)",
		"forward 6 redundant",
		"forward 7 matched",
		"forward 8 shadowed: rule 7 of inet filter forward (meta l4proto . th dport vmap @verdicts)rule 1 of inet filter web (accept)",
		"forward 9 decided",
		"forward 10 shadowed: rule 9 of inet filter forward (meta l4proto . th dport != { tcp . 7, udp . 7 } drop)",
		"forward 11 decided",
		"forward 12 not modelled: it has a set that is not modelled",
		"forward 0 not modelled: each packet that was tried was let through without it",
	)
}

// A port more or less in such a map is told.
func TestCompareConcatenations(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	const before = `table ip filter {
	map verdicts { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.0.2.1 . tcp . 443 : accept, 10.0.2.1 . udp . 443 : drop } }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ip daddr . meta l4proto . th dport vmap @verdicts
	}
}`
	for from, to := range map[string]string{"tcp . 443": "tcp . 444", "tcp . 443 : accept": "tcp . 443 : drop", "udp . 443 : drop": "udp . 443 : accept"} {
		if d := compared(t, lab, before, strings.Replace(before, from, to, 1)); d.Empty() || len(d.Notes) > 0 {
			t.Errorf("%s for %s: %s", to, from, d)
		}
	}
}
