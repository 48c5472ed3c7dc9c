package probes_test

import (
	"os/exec"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// Two labs of one network are one network, whatever order they come in; the report
// is what awk makes of their files.
func TestRuleReport(t *testing.T) {
	harness.Require(t, harness.Tool("awk"))
	const rules = `table inet filter { chain forward {
		type filter hook forward priority 0; policy accept;
		tcp dport 22 drop; tcp dport 22 drop; tcp dport 25 reject with tcp reset; udp dport 53 counter; }; }`
	file := covering(t)
	for i, p := range []probes.Probe{ssh.Within(silence), mail, dns} {
		t.Run("", func(t *testing.T) {
			network := office(rules)
			if i == 1 {
				network = officeAs("branch", rules)
			}
			lab := harness.Up(t, network)
			probes.Serve(t, lab.Node("server"), dns)
			ask(t, lab.Node("client"), lab.Node("server"), p)
		})
	}
	out, err := exec.Command("awk", "-f", "../.ci/rules.awk", file, file).CombinedOutput()
	const want = `
== rules that probes tried ==
  office  fw  inet filter forward  3 of 5  60%
    never tried: tcp dport 22 drop (number 2 of these)
    never tried: tcp dport 25 reject with tcp reset
  branch  fw  inet filter forward  1 of 5  20%
    never tried: policy accept
    never tried: tcp dport 22 drop
    never tried: tcp dport 22 drop (number 2 of these)
    never tried: udp dport 53 counter
  total 4 of 10 rules and policies, 40%; 3 gave a verdict
`
	if err != nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
}
