package policy_test

import "testing"

// What stands behind a rule that may lead packets on, and is not modelled, is shadowed where all that may come of it ends before.
func TestShadowedBehindLimits(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table inet filter {
	chain flood {
		limit rate 25/second burst 50 packets return
		drop
	}
	chain few {
		limit rate over 1000/second burst 1000 packets return
		accept
	}
	chain refuse {
		meta l4proto tcp reject with tcp reset
		reject
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		tcp dport 20-29 jump flood
		tcp dport 25 accept
		tcp dport 25 drop
		tcp dport 30 jump few
		tcp dport 30 drop
		limit rate over 1000/second burst 1000 packets goto refuse
		jump refuse
	}
}`),
		"flood 1 matched",
		"flood 2 decided",
		"few 1 needs: packets that meet it in another state: it depends on a limit of 1000 packets a second",
		"few 2 decided",
		"refuse 1 decided",
		"refuse 2 decided",
		"forward 1 matched",
		"forward 2 decided",
		"forward 3 shadowed: rule 2 of inet filter flood (drop)rule 2 of inet filter forward (tcp dport 25 accept)",
		"forward 4 matched",
		"forward 5 needs: packets that meet it in another state: it depends on a limit of 1000 packets a second",
		"forward 6 needs: packets that meet it in another state: it depends on a limit of 1000 packets a second",
		"forward 7 matched",
		"forward 0 shadowed: rule 1 of inet filter refuse (meta l4proto tcp reject with tcp reset)rule 2 of inet filter refuse (reject)",
	)
}
