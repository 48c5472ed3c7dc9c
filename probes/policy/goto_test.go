package policy_test

import "testing"

// What a goto takes does not come to the rules behind, whatever marks make of it in the chain where it goes.
func TestCoverBehindGoto(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table ip filter {
	chain to_dmz {
		ct state established,related accept
		ct state invalid drop
		tcp dport { 80, 443 } meta mark set mark or 0x10000
		meta mark & 0x10000 == 0x10000 return
		drop
	}
	chain dispatch { oifname "dmz" goto to_dmz; drop; }
	chain workloads { meta mark set mark and 0xfff1ffff; oifname "dmz" jump dispatch; }
	chain forward {
		type filter hook forward priority 0; policy accept;
		jump workloads
		meta mark & 0x10000 == 0x10000 accept
	}
}`),
		"to_dmz 1 decided",
		"to_dmz 2 decided",
		"to_dmz 3 matched",
		"to_dmz 4 matched",
		"to_dmz 5 decided",
		"dispatch 1 matched",
		`dispatch 2 shadowed: rule 1 of ip filter dispatch (oifname "dmz" goto to_dmz)`,
		"workloads 1 matched",
		"workloads 2 matched",
		"forward 1 matched",
		"forward 2 decided",
		"forward 0 decided",
	)
}

// A policy does meet what comes to the end of where a goto leads: who ends its way there is named.
func TestCoverPolicyBehindGoto(t *testing.T) {
	t.Parallel()
	wantFates(t, coveredOffice(t, `
table ip filter {
	chain rest { ip protocol tcp drop; accept; }
	chain forward { type filter hook forward priority 0; policy drop; goto rest; }
}`),
		"rest 1 decided",
		"rest 2 decided",
		"forward 1 matched",
		"forward 0 shadowed: rule 1 of ip filter rest (ip protocol tcp drop)rule 2 of ip filter rest (accept)",
	)
}
