package policy_test

import "testing"

// A rule behind a limit, or about what is over one, is met by a burst.
func TestCoverBursts(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		tcp dport 22 limit rate 1/minute burst 5 packets accept
		tcp dport 22 drop
		tcp dport 23 limit rate over 1/minute burst 7 packets drop
		tcp dport 23 accept
		tcp dport 24 limit rate 100000/second burst 100000 packets accept
		tcp dport 24 drop
	}
}`),
		"forward 1 decided",
		"forward 2 decided",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 decided",
		"forward 6 needs: packets that meet it in another state: it depends on a limit of 100000 packets a second",
		"forward 0 decided",
	)
}
