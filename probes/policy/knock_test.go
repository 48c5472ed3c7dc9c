package policy_test

import "testing"

// Answers are made in both families, also where rules for both were met by packets of one.
func TestCoverAnswersOfBothFamilies(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		ct state new tcp dport 1 drop
		ct state invalid drop
		icmpv6 type echo-reply drop
		icmp type echo-reply drop
		ip6 saddr fd00:2::1 udp sport 53 ct state established drop
	}
}`),
		"forward 1 decided",
		"forward 2 decided",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 decided",
		"forward 0 decided",
	)
}
