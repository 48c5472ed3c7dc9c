package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A rule that loses its state, or gets one, lets packets of another state through, or stops them: each kind is sent, though but one of
// the two texts asks for states.
func TestCompareAsksForEachState(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	rule := func(words string) string {
		return "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0;\n\t\t" + words + "\n\t}\n}\n"
	}
	for _, c := range []struct {
		before, after string
		states        []string // of which packets are let through after, and were not; one is told
	}{
		{"tcp dport 22 drop", "tcp dport 22 ct state new drop", []string{"established", "invalid"}},
		{"tcp dport 22 drop", "tcp dport 22 ct state new,established drop", []string{"invalid"}},
		{"tcp dport 22 drop", "tcp dport 22 ct state new,invalid,established drop", nil},
		{"udp dport 53 drop", "ct state != invalid udp dport 53 drop", []string{"invalid"}},
	} {
		d := compared(t, lab, rule(c.before), rule(c.after))
		told := 0
		for _, change := range d.Changes {
			if last := change.Witness[len(change.Witness)-1]; !change.After.Passed || !slices.Contains(c.states, last.State) {
				t.Errorf("%s for %s: %s", c.after, c.before, change)
			}
			told++
		}
		if families := 2; told != min(len(c.states), 1)*families {
			t.Errorf("%s for %s: %s", c.after, c.before, d)
		}
	}
}

// That connection tracking takes such a packet for invalid, a counter says that a plain socket's packet meets.
func TestResetWithoutAConnectionIsInvalid(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, sides(strings.TrimSpace(`
table inet filter {
	chain forward {
		type filter hook forward priority 0;
		ct state invalid counter
		ct state new,established,related,untracked counter
	}
}`)))
	upper := make([]byte, 20)
	upper[0], upper[3], upper[12], upper[13] = 200, 22, 5<<4, wire.RST
	sendAll(t, lab.Node("client"), "lan", lab.Node("fw"), false, [][]byte{header(spaceAddr(false, 1, "77"), spaceAddr(false, 2, "77"), unix.IPPROTO_TCP, upper)})
	NewWithT(t).Eventually(func() uint64 { return counted(t, lab.Node("fw"))["forward 1"] }).Within(soon).Should(BeNumerically("==", 1))
}

// Packets of a connection that is translated are asked about as they come: an error about it is one about what left.
func TestCompareAsksBehindTranslation(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	rules := func(state string) string {
		return `table ip filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "dmz" ct state ` + state + ` accept
		iifname "lan" accept
	}
	chain post {
		type nat hook postrouting priority srcnat;
		oifname "dmz" masquerade
	}
}`
	}
	for after, state := range map[string]string{"established": "related", "related": "established"} {
		d := compared(t, lab, rules("established,related"), rules(after))
		if len(d.Changes) != 1 {
			t.Errorf("%s alone: %s", after, d)
			continue
		}
		c := d.Changes[0]
		if last := c.Witness[len(c.Witness)-1]; last.State != state || last.Destination.Addr().String() != "10.0.2.2" || c.After.Passed {
			t.Errorf("%s alone: %s", after, d)
		}
	}
}
