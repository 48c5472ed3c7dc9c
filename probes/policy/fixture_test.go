package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
)

// office is a client and a server, and a firewall between them.
func office(rules string) *topo.Network {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("client", lan)
	office.Host("server", dmz)
	office.Router("fw", lan, dmz).Nft(rules)
	return office
}

// fates are the lines of a report, without packets: chain, position, fate and why.
func fates(report policy.Report) (lines []string) {
	for _, r := range report.Rules {
		line := fmt.Sprintf("%s %d %s", r.Chain, r.Position, r.Fate)
		if told := strings.Join(append(r.By, r.Why), ""); told != "" && r.Fate != policy.Decided {
			line += ": " + told
		}
		lines = append(lines, line)
	}
	return lines
}

func covered(t *testing.T, lab *harness.Lab) policy.Report {
	t.Helper()
	report, err := policy.Cover(t.Context(), lab, "fw")
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// coveredOffice is what became of the rules of an office's firewall.
func coveredOffice(t *testing.T, rules string) policy.Report {
	t.Helper()
	harness.Require(t, harness.NftTool)
	return covered(t, harness.Up(t, office(rules)))
}

// coveredIptables is what became of iptables' rules of an office's firewall, in nft's tables.
func coveredIptables(t *testing.T, text string) policy.Report {
	t.Helper()
	harness.Require(t, harness.Tool("iptables-nft-restore"))
	network := office("")
	network.Node("fw").Iptables(text, topo.NfTables)
	return covered(t, harness.Up(t, network))
}

func wantFates(t *testing.T, report policy.Report, want ...string) {
	t.Helper()
	got := fates(report)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("line %d:\n  %s\nwanted:\n  %s\n%s", i+1, strings.Join(got, "\n  "), strings.Join(want, "\n  "), report)
		}
	}
}
