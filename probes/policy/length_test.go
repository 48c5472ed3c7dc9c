package policy_test

import "testing"

// A rule about packets of a length is tried by such, and one behind it by others.
func TestCoverLengths(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		meta nfproto ipv4 icmp type echo-request meta length 0-100 accept
		meta nfproto ipv4 icmp type echo-request drop
		ip length 100-200 udp dport 99 accept
		ip6 length > 500 udp dport 99 accept
		udp dport 99 drop
		tcp dport 7 meta length > 1000 counter drop
		tcp dport 7 meta length 120 accept
		ip dscp ef accept
		meta pkttype broadcast accept
		th dport 1234 accept
		th sport 1235 tcp dport 7 accept
	}
}`)
	wantFates(t, report,
		"forward 1 decided",
		"forward 2 decided",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 decided",
		"forward 6 decided",
		"forward 7 decided",
		"forward 8 not modelled: it has ip dscp or ecn",
		"forward 9 not modelled: it has meta pkttype",
		"forward 10 decided",
		"forward 11 decided",
		"forward 0 decided",
	)
	for at, want := range map[int]int{1: 101, 2: 100, 3: 541, 5: 1001, 6: 120} {
		if w := report.Rules[at].Witness; len(w) != 1 || w[0].Length != want {
			t.Errorf("rule %d was met by %v, want %d bytes", at+1, w, want)
		}
	}
}

// So are those of iptables.
func TestCoverLengthsOfIptables(t *testing.T) {
	t.Parallel()
	report := coveredIptables(t, `*filter
:FORWARD DROP
-A FORWARD -p icmp -m length --length 0:100 -j ACCEPT
-A FORWARD -p icmp -j DROP
-A FORWARD -p udp -m length ! --length 0:300 -j ACCEPT
COMMIT
`)
	wantFates(t, report, "FORWARD 1 decided", "FORWARD 2 redundant", "FORWARD 3 decided", "FORWARD 0 decided")
	for at, want := range []int{0, 101, 301, 0} {
		if w := report.Rules[at].Witness; len(w) != 1 || w[0].Length != want {
			t.Errorf("rule %d was met by %v, want %d bytes", at+1, w, want)
		}
	}
}
