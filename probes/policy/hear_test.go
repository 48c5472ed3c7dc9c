package policy_test

import (
	"strings"
	"testing"
)

// What the node sends to itself is followed past rules that give it another source on its way out: it comes in with that.
func TestOfMasqueradeToItself(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table ip filter {
	chain input { type filter hook input priority 0; policy accept; }
	chain output { type filter hook output priority 0; policy accept; }
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
		ip saddr 10.0.2.0/24 ip daddr != 10.0.2.0/24 masquerade comment "networks"
	}
}`))
	want := `from 10.0.2.2 to all but 10.0.2.2: accepted by policy accept of ip filter input, its source translated by "networks"`
	if text := p.String(); !strings.Contains(text, want) || strings.Contains(text, "not known") {
		t.Errorf("%s\nwanted:\n%s", p, want)
	}
}
