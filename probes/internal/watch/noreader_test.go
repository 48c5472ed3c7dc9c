package watch

import "testing"

func TestWhatARuleOfIptablesLegacyGivesToAQueue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"-p udp -j NFQUEUE --queue-num 7":             7,
		"-j NFQUEUE --queue-num 65535 --queue-bypass": 65535,
		"-j NFQUEUE --queue-balance 4:7":              severalQueues,
		"-j QUEUE":                                    0,
		`-m comment --comment "-j DROP --queue-num 3" -j NFQUEUE --queue-num 5`: 5,
	} {
		c := &legacyChain{program: "iptables-legacy", table: "mangle", name: "FORWARD", rules: []string{"-j LOG", text}}
		rule, number := c.taker(legacyEvent{kind: "rule", number: 2})
		if rule == nil || number != want || rule.Handle != 2 {
			t.Errorf("%s: %v, queue %d", text, rule, number)
		}
		for _, e := range []legacyEvent{{kind: "rule", number: 1}, {kind: "policy", number: 2}, {kind: "rule", number: 3}, {kind: "rule"}} {
			if rule, _ := c.taker(e); rule != nil {
				t.Errorf("%s: %+v: %v", text, e, rule)
			}
		}
	}
	if rule, _ := (*legacyChain)(nil).taker(legacyEvent{kind: "rule", number: 1}); rule != nil {
		t.Error(rule)
	}
}
