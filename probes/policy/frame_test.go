package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

// What interfaces' frames are is known, and which frames are sent.
func TestFrames(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(`table inet filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		ether saddr 02:00:00:00:00:99 tcp dport 21 drop
		meta iiftype loopback drop
		meta iiftype ether meta oiftype ether tcp dport 22 drop
		tcp dport 22 accept
		tcp dport 21 accept
	}
	chain input {
		type filter hook input priority 0; policy accept;
		meta iiftype loopback tcp dport 22 drop
		meta iiftype != ether tcp dport 23 drop
		tcp dport 23 drop
	}
}`))
	got := fates(covered(t, lab))
	for _, want := range []string{
		"forward 1 needs: a frame that is otherwise than those that are sent (ether saddr)",
		"forward 2 needs: routes, addresses or interfaces that this lab has not: it sends no such packet through forward",
		"forward 3 decided",
		"forward 4 needs: a packet that earlier rules leave over; this lab sends none",
		"forward 5 redundant",
		"input 1 decided", "input 2 redundant", "input 3 decided",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not %q:\n%s", want, strings.Join(got, "\n"))
		}
	}
}
