package probes_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

// remembering is the office with a firewall whose chain has these rules, and its server
// with a service that writes down what it reads at UDP 53.
func remembering(t *testing.T, more, rules string) (client, server *harness.Node, words func() int) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table inet filter {\n"+more+"\nchain forward { type filter hook forward priority 0; policy drop; "+rules+"; }; }"))
	return lab.Node("client"), lab.Node("server"), sink(t, lab.Node("server"), 53)
}

// What one packet meets another may not: it is no isolation while the rule may forget.
func TestARuleThatRemembersIsolatesNobody(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		more, rules, says string
		room              int // how many words get in, at least
	}{
		"a limit":            {"", "meta l4proto udp limit rate 1/minute burst 1 packets accept", "depends on a limit of 1 packets a minute", 1},
		"a quota":            {"", "udp dport 53 quota until 60 bytes accept", "depends on a quota of 60 bytes", 1},
		"chance":             {"", "udp dport 53 numgen random mod 1000000 0 accept", "depends on a random number out of 1000000", 0},
		"a set that forgets": {"set seen { type ipv4_addr; flags dynamic,timeout; timeout 1h; }", "ip saddr @seen udp dport 53 accept; add @seen { ip daddr }", "depends on what rules put into set seen", 0},
		"a count":            {"", "udp dport 53 ct count over 1000000 accept", "depends on how many connections there are", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server, words := remembering(t, row.more, row.rules)
			to := netip.MustParseAddr("10.0.2.1")
			for range 3 { // what the rule has room for is used up
				say(t, client, netip.AddrPortFrom(to, 53))
			}
			gomega.NewWithT(t).Eventually(words).Should(gomega.BeNumerically(">=", row.room))
			holds, err := probes.BeIsolatedFrom(to, dns).Match(client)
			before := words()
			if holds || err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "in another state it would let the probe in") {
				t.Errorf("want %q: %v, %v", row.says, holds, err)
			}
			watched := watch(t, client, to, dns)
			if holds, err := probes.BeIsolatedFrom(to, dns).Match(watched); holds || err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("of a Result: want %q: %v, %v", row.says, holds, err)
			}
			g := gomega.NewWithT(t)
			g.Expect(client).To(probes.BeIsolatedFrom(to, dns).Sampled(3), "three tries are said to be enough")
			g.Expect(client).To(probes.BeIsolatedFrom(to, web), "another packet is not the rule's")
			if n := words(); n != before {
				t.Errorf("the judge: %d words came in meanwhile", n-before)
			}
			_ = server
		})
	}
}

// say sends a word from a plain socket.
func say(t *testing.T, node *harness.Node, to netip.AddrPort) {
	t.Helper()
	conn, err := node.Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("a word")); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
}

// A rule that counts in turn is asked until it begins again: one in seven gets in.
func TestARuleThatCountsIsAskedUntilItBeginsAgain(t *testing.T) {
	t.Parallel()
	to := netip.MustParseAddr("10.0.2.1")
	client, server, words := remembering(t, "", "udp dport 53 numgen inc mod 7 3 accept")
	dns := dns.Within(200 * time.Millisecond)
	holds, err := probes.BeIsolatedFrom(to, dns).Match(client)
	if n := words(); holds || err == nil || n != 1 {
		t.Errorf("%v, %v; the judge: %d words", holds, err, n)
	}
	holds, err = probes.BeIsolatedFrom(server, dns).Match(client)
	if holds || err == nil || words() < 2 {
		t.Errorf("both families: %v, %v; the judge: %d words", holds, err, words())
	}
	client, server, words = remembering(t, "", "udp dport 53 numgen inc mod 5 4 counter drop; udp dport 53 drop")
	gomega.NewWithT(t).Expect(client).To(probes.BeIsolatedFrom(server, dns), "each of them drops")
	if n := words(); n != 0 {
		t.Errorf("the judge: %d words", n)
	}
}

// Rules without a verdict, or that cannot let it in, do not count.
func TestRulesThatRememberWhatDoesNotMatter(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{
		"a log":            `limit rate 5/minute log prefix "drop "; counter; udp dport 53 drop`,
		"another protocol": "tcp dport 80 limit rate 1/second accept; icmp type echo-request limit rate 1/second accept",
		"after the drop":   "udp dport 53 drop; limit rate 1/second accept",
		"a limited drop":   "udp dport 53 limit rate 1/second drop; udp dport 53 reject",
		"another state":    "ct state established,related accept",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server, _ := remembering(t, "", rules)
			gomega.NewWithT(t).Expect(client).To(probes.BeIsolatedFrom(server, dns).At("fw"))
		})
	}
}

// A rule about users says nothing of others: the probes are those of one.
func TestARuleAboutUsersIsolatesNobody(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	err := client.Nft("table inet own { chain output { type filter hook output priority 0; policy accept; meta skuid 0 meta l4proto { udp, icmp, icmpv6, tcp } ip daddr 10.0.2.1 drop; meta skuid 0 ip6 daddr fd00:2::1 drop; }; }")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*probes.IsolationMatcher{probes.BeIsolatedFrom(server), probes.BeIsolatedFrom(server, dns), probes.BeIsolatedFrom(server, dns).Sampled(9)} {
		if holds, err := m.Match(client); holds || err == nil || !strings.Contains(err.Error(), "depends on the user that sent it: it says nothing of what others send") {
			t.Error(holds, err)
		}
	}
}

// A service that a set keeps from each connection's first packet gets the second.
func TestASetThatDropsTheFirstPacketIsolatesNobody(t *testing.T) {
	t.Parallel()
	client, server, _ := remembering(t, "set knocked { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 1m; }",
		"ct state established accept; ip saddr . tcp sport @knocked accept; tcp dport 80 add @knocked { ip saddr . tcp sport } drop")
	probes.Serve(t, server, web)
	to := netip.MustParseAddr("10.0.2.1")
	if holds, err := probes.BeIsolatedFrom(to, web).Match(client); holds || err == nil || !strings.Contains(err.Error(), "depends on what rules put into set knocked") {
		t.Error(holds, err)
	}
	connects(t, client, "", "10.0.2.1:80")
}

// Rules of iptables-legacy are no different.
func TestALegacyRuleThatRemembers(t *testing.T) {
	harness.Require(t, harness.Tool("iptables-legacy"))
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, fw, words := lab.Node("client"), lab.Node("fw"), sink(t, lab.Node("server"), 53)
	rule := func(words ...string) {
		t.Helper()
		if out, err := fw.Command("iptables-legacy", append([]string{"-A", "FORWARD"}, words...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	rule("-p", "udp", "-m", "limit", "--limit", "1/min", "--limit-burst", "1", "-j", "ACCEPT")
	rule("-j", "DROP")
	rule("-m", "limit", "--limit", "1/min", "-j", "ACCEPT")
	to := netip.MustParseAddr("10.0.2.1")
	for range 3 {
		say(t, client, netip.AddrPortFrom(to, 53))
	}
	g := gomega.NewWithT(t)
	g.Eventually(words).Should(gomega.Equal(1))
	if holds, err := probes.BeIsolatedFrom(to, dns).Match(client); holds || err == nil || !strings.Contains(err.Error(), "in another state it would let the probe in") {
		t.Error(holds, err)
	}
	g.Expect(client).To(probes.BeIsolatedFrom(to, dns).Sampled(2))
	g.Expect(client).To(probes.BeIsolatedFrom(to, web).At("fw"), "what is behind the rule that drops does not count")
}

// What is answered, or by somebody else, has no cause, and no rule that ended it.
func TestALegacyRuleAndWhatIsAnswered(t *testing.T) {
	harness.Require(t, harness.Tool("iptables-legacy"), harness.NftTool)
	t.Parallel()
	network := topo.New("answered")
	lan, dmz := network.Switch("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24")
	network.Host("client", lan)
	network.Host("server", dmz.At("10.0.2.1").Also("10.0.2.9/24"))
	network.Router("fw", lan, dmz).Nft(`table ip nat { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.2.9 udp dport 53 redirect; }; }`)
	lab := harness.Up(t, network)
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	probes.Serve(t, server, web)
	probes.Serve(t, fw, dns)
	for _, rule := range []string{"-A FORWARD -p tcp --dport 80 -j ACCEPT", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -j DROP"} {
		if out, err := fw.Command("iptables-legacy", strings.Fields(rule)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.BeIsolatedFrom(server).Except(web).At("fw"))
	g.Expect(client).To(probes.BeIsolatedFrom(server, dns).At("fw"), "fw answers at the second address")
	if out, err := fw.Command("iptables-legacy", strings.Fields("-I FORWARD -m ttl --ttl-gt 100 -j ACCEPT")...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if holds, err := probes.BeIsolatedFrom(server).Except(web).Match(client); holds || err == nil || !strings.Contains(err.Error(), "which any program may choose") {
		t.Error(holds, err)
	}
}
