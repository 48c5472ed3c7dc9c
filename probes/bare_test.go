package probes_test

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

// filtered is the office whose firewall drops what its rules do not accept.
func filtered(t *testing.T, rules string) (client, server *harness.Node) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; "+rules+"; }; }"))
	return lab.Node("client"), lab.Node("server")
}

// What only ping does not show: each of these lets something else in.
func TestABareCheckAsksWhatMatters(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		rules  string
		listen bool // whether somebody listens at UDP 9000
		want   []string
	}{
		"a source port": {"udp sport 53 accept", true, []string{
			"client (port 53) -> server (10.0.2.1) udp/9000: ", "udp/9000 from port 53"}},
		"a source port, and nobody listens": {"udp sport 53 accept", false, []string{
			"client (port 53) -> server (fd00:2::1) udp/40000: refused", "nobody has port 40000: what is sent there does arrive"}},
		"a port that nobody has": {"tcp dport 8443 accept", false, []string{
			"client -> server (10.0.2.1) tcp/8443: refused by server", "nobody has port 8443: what is sent there does arrive"}},
		"a port of a range, of one family": {"ip6 nexthdr tcp tcp dport 7000-7010 accept", false, []string{
			"server (fd00:2::1) tcp/7000: refused", "server (fd00:2::1) tcp/7010: refused"}},
		"a port that somebody has": {"udp dport 8999-9001 accept", true, []string{"client -> server (10.0.2.1) udp/9000: "}},
		"what is beside a range":   {"udp dport != 100-200 accept", false, []string{"udp/201: refused", "udp/99: refused", "tcp/40000, udp/100, udp/200\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := filtered(t, row.rules)
			heard := func() int { return 0 }
			if row.listen {
				heard = sink(t, server, 9000)
			}
			holds, err := probes.BeIsolatedFrom(server).Match(client)
			if holds || err == nil {
				t.Fatal(holds, err)
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			if row.listen && heard() == 0 {
				t.Error("the judge: the service read nothing")
			}
		})
	}
}

// sink starts a plain service that writes down what it reads, and says nothing.
func sink(t *testing.T, node *harness.Node, port uint16) (words func() int) {
	t.Helper()
	conn, err := node.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	got := make(chan struct{}, 1000)
	go func() {
		for buf := make([]byte, 2048); ; {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				return
			}
			got <- struct{}{}
		}
	}()
	return func() int { return len(got) }
}

// Where nothing is let in, it holds, whoever listens.
func TestABareCheckHolds(t *testing.T) {
	t.Parallel()
	client, server := filtered(t, `tcp dport 22 drop comment "no ssh"; udp dport { 53, 67-68 } drop; tcp dport 8000-9000 counter drop`)
	probes.Serve(t, server, web, dns, ssh)
	words := sink(t, server, 9000)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.BeIsolatedFrom(server).At("fw"))
	g.Expect(client).To(probes.BeIsolatedFrom(server).By("no ssh", "policy inet filter forward", "udp dport { 53, 67-68 } drop", "tcp dport 8000-9000 counter drop"))
	if n := words(); n != 0 {
		t.Errorf("the judge: the service read %d words", n)
	}
	holds, err := probes.BeIsolatedFrom(server).By("no web").Match(client)
	for _, want := range []string{
		"; without probes it asks icmp, icmp timestamp, protocol 253, tcp/22, tcp/80, tcp/40000, udp/53, udp/9000, udp/40000, udp/67, udp/68, tcp/8000, tcp/9000, udp/66, udp/69, tcp/7999, tcp/9001\n",
		"\n  and 25 more that do not show it:\n",
	} {
		if holds || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := server.Lab().Node("fw").Nft("insert rule inet filter forward tcp dport 80 accept"); err != nil {
		t.Fatal(err)
	}
	g.Expect(client).To(probes.BeIsolatedFrom(server).Except(web), "all but the web")
	if holds, err := probes.BeIsolatedFrom(server).Match(client); holds || err == nil || !strings.Contains(err.Error(), "server was reached") {
		t.Error(holds, err)
	}
}

// An open network reaches at every probe.
func TestABareCheckIsFalseWhereAllIsReached(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	gomega.NewWithT(t).Expect(client).NotTo(probes.BeIsolatedFrom(server))
}

// Rules of nodes that are not on the way are not asked about; those of a bridge are, and
// those of all where the plan has no way.
func TestABareCheckReadsTheRulesOnTheWay(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	network := topo.New("ways")
	lan, dmz, far := network.Switch("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24"), network.Switch("far", "10.0.3.0/24")
	rule := func(port string) string {
		return "table inet filter { chain forward { type filter hook forward priority 0; policy accept; tcp dport " + port + " drop; }; }"
	}
	network.Host("client", lan).Nft(rule("1001"))
	network.Host("server", dmz).Nft(rule("1002"))
	network.Router("fw", lan, dmz, far).Nft(rule("1003") + "\ntable ip every { chain forward { type filter hook forward priority 1; policy drop; }; }")
	network.Host("bridge", dmz.NoAddress()).Nft(rule("1004"))
	network.Host("stranger", far).Nft(rule("1005"))
	network.Host("neighbour", lan).Nft(rule("1006"))
	lab := harness.Up(t, network)
	_, err := probes.BeIsolatedFrom(lab.Node("server")).By("nothing of it").Match(lab.Node("client"))
	for port, asked := range map[string]bool{"1001": true, "1002": true, "1003": true, "1004": true, "1005": false, "1006": false} {
		if err == nil || strings.Contains(err.Error(), "tcp/"+port) != asked {
			t.Errorf("tcp/%s is to be asked: %v: %v", port, asked, err)
		}
	}
}

// A ruleset that names more than is asked is told what was left out, as is what no probe
// What arrives, and whose answer alone is dropped, is not isolated, and no riddle.
func TestABareCheckSeesWhatBecomesOfAnAnswer(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"at the target": "type filter hook output priority 0; policy accept; icmp type timestamp-reply drop comment \"no clock\"",
		"by its input":  "type filter hook input priority 0; policy drop; icmp type timestamp-request accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := filtered(t, "icmp type timestamp-request accept")
			if err := server.Nft("table inet own { chain c { " + rule + "; }; }"); err != nil {
				t.Fatal(err)
			}
			holds, err := probes.BeIsolatedFrom(server).Match(client)
			if holds || err == nil || !strings.Contains(err.Error(), "icmp timestamp") || strings.Contains(err.Error(), "inconclusive") {
				t.Error(holds, err)
			}
			if strings.Contains(rule, "no clock") && !strings.Contains(err.Error(), "no clock") {
				t.Error("the rule that dropped the answer is not named:", err)
			}
		})
	}
}

// speaks, and it takes no longer for that.
func TestABareCheckHasABound(t *testing.T) {
	t.Parallel()
	client, server := filtered(t, "meta l4proto gre drop; ip6 nexthdr ah drop; sctp sport 99 drop; tcp dport { 1, 3, 5, 7 }; tcp dport 1000-1400 drop; "+
		"udp dport { "+commas(2000, 2200)+" } drop")
	begun := time.Now()
	_, err := probes.BeIsolatedFrom(server).By("nothing of it").Match(client)
	took := time.Since(begun)
	for _, want := range []string{"; left out: ", "protocol 47", "ah (rule ", "no probe speaks it", "sctp/40000 from port 99", ": 100 are asked"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	t.Logf("it took %s", took)
}

func commas(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return strings.Join(all, ", ")
}

// BenchmarkBeIsolatedFromBare is a check without probes behind a firewall of 20 rules, in
// both families: at most 100 ms.
func BenchmarkBeIsolatedFromBare(b *testing.B) {
	var rules strings.Builder
	for port := 1000; port < 1018; port++ {
		rules.WriteString("tcp dport " + strconv.Itoa(port) + " drop; ")
	}
	lab := harness.Up(b, office("table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; "+rules.String()+" }; }"))
	client, server := lab.Node("client"), lab.Node("server")
	for b.Loop() {
		if ok, err := probes.BeIsolatedFrom(server).Match(client); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/bare")
}

// A rule of policy routing lets in what it leads to another table, whatever the rest comes to.
func TestABareCheckReadsPolicyRouting(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]topo.Rule{
		"by the port":              {Protocol: "udp", Port: "4444"},
		"by a range of ports":      {Protocol: "udp", Port: "4444-4450"},
		"by a port of TCP":         {Protocol: "tcp", Port: "4444"},
		"by a source port":         {Protocol: "udp", SourcePort: "53"},
		"by the protocol":          {Protocol: "udp"},
		"by a protocol of its own": {Protocol: "47"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := topo.New("routed")
			lan, dmz := network.Switch("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24")
			network.Host("client", lan)
			network.Host("server", dmz.At("10.0.2.1"))
			way.Table, way.Priority = 100, 100
			network.Router("fw", lan, dmz).Rule(way).Route(topo.Route{To: "10.0.2.1/32", Type: topo.Blackhole}).Route(topo.Route{To: "10.0.2.1/32", Dev: dmz, Table: 100})
			lab := harness.Up(t, network)
			if holds, err := probes.BeIsolatedFrom(lab.Node("server")).Match(lab.Node("client")); holds {
				t.Error("it is isolated, and what the rule leads on arrives", err)
			}
			g := gomega.NewWithT(t)
			g.Expect(lab.Node("client")).To(probes.BeIsolatedFrom(lab.Node("server"), probes.TCP(80)).At("fw"))
		})
	}
}
