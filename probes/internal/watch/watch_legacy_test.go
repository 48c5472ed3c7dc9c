package watch_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// legacy is an office whose router has rules of iptables-legacy.
func legacy(t *testing.T, program string, rules ...string) *harness.Lab {
	t.Helper()
	harness.Require(t, harness.Tool(program))
	lab := harness.Up(t, office(""))
	for _, rule := range rules {
		if out, err := lab.Node("fw").Command(program, strings.Fields(rule)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", rule, err, out)
		}
	}
	return lab
}

func TestWatchOfRulesOfIptablesLegacy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program, rule, want, is string
		addr                    netip.Addr
		kind                    evidence.Kind
	}{
		"a rule": {"iptables-legacy", "-A FORWARD -p udp --dport 53 -j DROP",
			`the request was dropped at fw by rule "-p udp -m udp --dport 53 -j DROP" of iptables-legacy filter FORWARD`,
			"-p udp -m udp --dport 53 -j DROP", server4, evidence.Drop},
		"a rule with a comment": {"ip6tables-legacy", "-A FORWARD -p udp --dport 53 -m comment --comment no-names -j DROP",
			`the request was dropped at fw by rule "-p udp -m udp --dport 53 -j DROP" of ip6tables-legacy filter FORWARD ("no-names")`,
			"no-names", server6, evidence.Drop},
		"a rule that says so": {"iptables-legacy", "-A FORWARD -p udp -j REJECT",
			`the request was rejected at fw by rule "-p udp -j REJECT --reject-with icmp-port-unreachable" of iptables-legacy filter FORWARD`,
			"-p udp -j REJECT --reject-with icmp-port-unreachable", server4, evidence.Reject},
		"a policy": {"iptables-legacy", "-P FORWARD DROP",
			"the request was dropped at fw by policy drop of iptables-legacy filter FORWARD", "policy iptables-legacy filter FORWARD", server4, evidence.Drop},
		"before routing": {"ip6tables-legacy", "-t raw -A PREROUTING -p udp -j DROP",
			`the request was dropped at fw by rule "-p udp -j DROP" of ip6tables-legacy raw PREROUTING`, "-p udp -j DROP", server6, evidence.Drop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := legacy(t, c.program, c.rule)
			serve(t, lab.Node("server"), 53)
			bound := soon
			if c.kind == evidence.Reject {
				bound = while // what comes with a refusal is left for the asker to hear
			}
			cause := ask(t, lab.Node("client"), to(udp, c.addr, 53)).causeWithin(bound)
			if cause.Kind != c.kind || cause.String() != c.want || !cause.Is(c.is) {
				t.Errorf("%s: %s\nwant %s", cause.Kind, cause, c.want)
			}
			other := server6
			if c.addr == server6 {
				other = server4
			}
			if by := ask(t, lab.Node("client"), to(udp, other, 53)).answered().Answerer(); by != "server" {
				t.Errorf("the other family: answered by %q", by)
			}
		})
	}
}

// The answer is followed as well, through chains that end nothing.
func TestWatchOfChainsOfIptablesLegacy(t *testing.T) {
	t.Parallel()
	lab := legacy(t, "iptables-legacy", "-N out", "-A FORWARD -i lan -j ACCEPT", "-A FORWARD -j out", "-A out -p tcp -j RETURN", "-A out -p udp --sport 53 -j DROP")
	serve(t, lab.Node("server"), 53)
	ask(t, lab.Node("client"), to(udp, server4, 53)).says(evidence.Drop,
		`the request arrived; the answer was dropped at fw by rule "-p udp -m udp --sport 53 -j DROP" of iptables-legacy filter out`)
}
