package probes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

// A forwarded port is asked at who forwards it: without the rule another answers, and
// that is what the rule kept.
func TestForwardedPortsMatter(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter { chain forward { type filter hook forward priority 0; policy accept;
			ct status dnat tcp dport 80 drop comment "not for all"; }; }
		table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.0.2.1:80; }; }`))
	client, fw := lab.Node("client"), lab.Node("fw")
	probes.Serve(t, lab.Node("server"), web)
	to := fw.On("lan").Addrs()[0]
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(to, probes.TCP(8080))).At("fw").By("not for all"))
	if result := watch(t, client, fw.On("lan"), probes.TCP(8080)).Each[0]; result.Addr != to {
		t.Error(result)
	} else {
		g.Expect(result).To(probes.MustMatter(probes.BeIsolatedFrom(fw.On("lan"))).By("not for all"))
	}
}

// A rule that stands before another that would stop the forwarded port as well is lifted,
// and then the other; where nobody is behind it the check is vacuous all the same.
func TestForwardedPortsToNobodyAreVacuous(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter { chain forward { type filter hook forward priority 0; policy accept;
			ct status dnat tcp dport 80 drop comment "not for all"; }; }
		table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.0.2.99:80; }; }`))
	result := watch(t, lab.Node("client"), lab.Node("fw").On("lan"), probes.TCP(8080)).Each[0]
	holds, err := probes.MustMatter(probes.BeIsolatedFrom(lab.Node("fw").On("lan"))).Match(result)
	if holds || err == nil || !strings.Contains(err.Error(), "is not due to what it names") {
		t.Error(holds, err)
	}
}

// Rules of iptables-legacy are lifted by their number, and policies as well.
func TestLegacyRulesMatter(t *testing.T) {
	harness.Require(t, harness.Tool("iptables-legacy"), harness.Tool("ip6tables-legacy"))
	legacyFirst(t)
	network := topo.New("old")
	lan, dmz := network.Wire("lan", "10.0.1.0/24"), network.Wire("dmz", "10.0.2.0/24")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz).Iptables("*filter\n:FORWARD DROP [0:0]\n" +
		"-A FORWARD -p udp -j ACCEPT\n-A FORWARD -p tcp --dport 22 -m comment --comment closed -j DROP\n" +
		"-A FORWARD -p tcp --dport 80 -j ACCEPT\n-A FORWARD -m state --state ESTABLISHED -j ACCEPT\nCOMMIT\n")
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, ssh, web)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.Reach(server, web), "the control")
	g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, ssh)).At("fw").By("closed"), "a rule, and then the policy")
	g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, icmp)).By("policy iptables-legacy filter FORWARD"))
	if out, err := lab.Node("fw").Command("iptables-legacy", "-S", "FORWARD").CombinedOutput(); err != nil || !strings.Contains(string(out), "closed") {
		t.Errorf("the lab itself: %s, %v", out, err)
	}
}

// legacyFirst has iptables-restore be the old one.
func legacyFirst(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"iptables", "ip6tables"} {
		path, err := exec.LookPath("/usr/sbin/" + name + "-legacy-restore")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name+"-restore")); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}
