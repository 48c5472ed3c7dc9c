package rules_test

import (
	"testing"

	"github.com/nstest/nstest/probes/internal/rules"
)

// What a rule changes matters where another asks for it, or may.
func TestDecidingAboutWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	const early = "chain pre { type filter hook prerouting priority -300; limit rate 1/minute "
	for _, c := range []struct {
		name, does, rest   string
		asked, askedAnyhow bool // as far as rules tell; with what else may ask
	}{
		{"a mark", "meta mark set 7", "", false, true},
		{"a mark that a rule asks for", "meta mark set 7", "meta mark 7 accept", true, true},
		{"a mark that makes another", "meta mark set 7", "ct mark set meta mark", true, true},
		{"a mark that a route is looked up by", "meta mark set 7", "fib saddr . mark oif 0 accept", true, true},
		{"a mark of the connection", "ct mark set 7", "", false, false},
		{"a mark of the connection, where the packet's is asked for", "ct mark set 7", "meta mark 7 accept", false, false},
		{"a mark of the connection that a rule asks for", "ct mark set 7", "ct mark 7 accept", true, true},
		{"no tracking", "notrack", "", false, false},
		{"no tracking, where its state is asked for", "notrack", "ct state new accept", true, true},
		{"no tracking, where connections are counted", "notrack", "ct count over 3 drop", true, true},
		{"a class", "ip dscp set cs1", "", true, true}, // which others on the way may ask for
		{"a zone", "ct zone set 1", "", true, true},
	} {
		text := "flush ruleset\ntable inet t {\n" + early + c.does + "\n}\nchain pass {\ntype filter hook forward priority 0; policy drop;\n" + c.rest + "\n}\n}\n"
		if err := node.Nft(text); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		set := read(t, node)
		list := steps(t, set, "pre:policy pass:policy")
		alone, all := rules.Prepare(set), rules.Prepare(set)
		alone.MarksNothing()
		about := func(b *rules.Chains) (first bool) {
			for _, m := range b.Deciding(tcp(443), list) {
				first = first || m.Rule == set.Chain("inet", "t", "pre").Rules[0]
			}
			return first
		}
		if got := about(alone); got != c.asked {
			t.Errorf("%s: asked for %t", c.name, got)
		}
		if got := about(all); got != c.askedAnyhow {
			t.Errorf("%s, where others may ask: %t", c.name, got)
		}
	}
}
