package policy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// untried has rules of which each asks for another kind of probe.
const untried = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		counter
		iifname "lan" tcp dport 22 drop comment "no ssh"
		iifname "lan" tcp dport 23 reject with tcp reset
		iifname "lan" tcp dport 80 accept
		iifname "dmz" udp dport 53 accept
		meta nfproto ipv4 udp dport 123 notrack counter accept
		iifname "lan" icmp type echo-request accept
		ip saddr 10.0.1.99 tcp dport 25 drop
		meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
	}
	chain input {
		type filter hook input priority 0; policy accept;
		tcp dport 8080 drop
		ip6 daddr fd00:1::2 tcp dport 9090 accept
	}
	chain output {
		type filter hook output priority 0; policy accept;
		ip daddr 10.0.2.1 udp dport 514 drop
	}
	chain early {
		type filter hook prerouting priority mangle; policy accept;
		iifname "lan" tcp dport 24 accept comment "first, and dropped later"
	}
}
`

// caller is a package that runs what Suggest wrote, on a lab like that which was covered.
const caller = `package suggested_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuggested(t *testing.T) {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("client", lan)
	office.Host("server", dmz)
	office.Router("fw", lan, dmz).Nft(%q)
	untriedRulesOfFw(t, harness.Up(t, office))
}
`

// What is suggested compiles, passes, and tries what it was suggested for: coverage then says that nothing is left.
func TestSuggest(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	report := coveredOffice(t, untried)
	text, err := report.Suggest("suggested_test")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`expect(lab.Node("client")).To(probes.BeIsolatedFrom(netip.MustParseAddr("10.0.2.1"), probes.TCP(22)).At("fw").By("no ssh"))`,
		`expect(lab.Node("client")).To(probes.Reach(netip.MustParseAddr("10.0.2.1"), probes.TCP(80)))`,
		`probes.Serve(tb, lab.Node("server"), probes.TCP(80))`,
		"// rule 3 of inet filter forward (",
		"// No probe of a node is the packet of these:\n\t//   - rule 9 of inet filter forward (",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in\n%s", part, text)
		}
	}

	coverage := filepath.Join(t.TempDir(), "rules")
	run(t, text, coverage)
	again, err := report.Suggest("suggested_test", coverage)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(again, "expect(") {
		tried, err := os.ReadFile(coverage)
		t.Errorf("it was tried, and is suggested again:\n%s\n%s (%v)", again, tried, err)
	}
}

// run tests a package that has a text, in a module that needs this one.
func run(t *testing.T, text, coverage string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	needs, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	const own = "github.com/nstest/nstest"
	module := strings.Replace(string(needs), "module "+own, "module suggested", 1) + fmt.Sprintf("\nrequire %s v0.0.0\nreplace %s => %s\n", own, own, root)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": module, "go.sum": string(sums), "rules_test.go": text, "caller_test.go": fmt.Sprintf(caller, untried),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-mod=mod", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "NSTEST_RULE_COVERAGE="+coverage)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
}

func TestSuggestSaysWhatItCannot(t *testing.T) {
	t.Parallel()
	if _, err := (policy.Report{}).Suggest("x", "/nowhere"); err == nil || !strings.HasPrefix(err.Error(), "suggest: open /nowhere: ") {
		t.Errorf("the error is %v", err)
	}
	if _, err := (policy.Report{}).Suggest("no package"); err == nil {
		t.Error("it says nothing of a package that is none")
	}
	if text, err := (policy.Report{Node: "a-b"}).Suggest("x"); err != nil || !strings.Contains(text, "func untriedRulesOfAB(") {
		t.Errorf("%v\n%s", err, text)
	}
}

// What chance decides no probe can expect. And what is suggested of a report that was read back is the same, also of packets that pass without an answer.
func TestSuggestNothingThatIsDrawn(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	report := coveredOffice(t, `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "lan" udp dport 53 accept comment "no answer"
		tcp dport 80-89 numgen inc mod 2 vmap { 0 : jump one, 1 : jump other }
		tcp dport 90 numgen random mod 1000 < 1 accept
		tcp dport 90 drop comment "the rest"
	}
	chain one { tcp dport 81 drop comment "by one"; accept; }
	chain other { accept comment "by the other"; }
}`)
	text, err := report.Suggest("suggested_test")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := reread(t, report).Suggest("suggested_test"); err != nil || again != text {
		t.Errorf("read back, it is (%v)\n%s", err, again)
	}
	asks, rest, _ := strings.Cut(text, "// No probe of a node")
	for _, drawn := range []string{"by one", "by the other", "the rest"} {
		if strings.Contains(asks, drawn) || !strings.Contains(rest, drawn) {
			t.Errorf("%s is drawn:\n%s", drawn, text)
		}
	}
	if !strings.Contains(asks, "no answer") {
		t.Errorf("what is not drawn is not asked for:\n%s", text)
	}
}
