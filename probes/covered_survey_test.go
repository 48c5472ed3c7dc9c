package probes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
)

// A survey does not ask faster than it can be heard: nothing is lost, and what is
// never tried never was.
func TestRuleCoverageOfASurvey(t *testing.T) {
	file := covering(t)
	const hosts = 16
	t.Run("", func(t *testing.T) {
		star := topo.New("star")
		var wires []topo.Attachment
		for i := range hosts {
			wire := star.Wire(fmt.Sprint("w", i), fmt.Sprintf("10.0.%d.0/24", i))
			star.Host(fmt.Sprint("h", i), wire)
			wires = append(wires, wire)
		}
		var rules strings.Builder
		for i := range 30 {
			fmt.Fprintf(&rules, "counter comment \"%d\"\n", i)
		}
		star.Router("fw", wires...).Nft("table ip filter { chain forward { type filter hook forward priority 0; policy accept;\n" + rules.String() + "}; }")
		lab := harness.Up(t, star)
		for _, p := range []probes.Probe{icmp, web, dns} {
			if _, err := probes.Survey(t.Context(), lab, p); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, line := range told(t, file) {
		if strings.HasPrefix(line, "problem") || strings.HasPrefix(line, "never") {
			t.Error(line)
		}
	}
}
