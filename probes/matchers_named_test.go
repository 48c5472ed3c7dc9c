package probes_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/onsi/gomega"
)

// splitOffice has IPv4 stopped at the firewall and IPv6 at the server.
func splitOffice(t *testing.T) (client, server *harness.Node) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	declared := office(`table ip filter { chain forward { type filter hook forward priority 0; policy accept;
		tcp dport 22 drop comment "no ssh of old"; }; }`)
	lab := harness.Up(t, declared)
	err := lab.Node("server").Nft(`table ip6 filter { chain input { type filter hook input priority 0; policy accept;
		tcp dport 22 reject with tcp reset comment "no ssh of new"; }; }`)
	if err != nil {
		t.Fatal(err)
	}
	probes.Serve(t, lab.Node("server"), web, ssh)
	return lab.Node("client"), lab.Node("server")
}

// Of several names each result is one, and each occurs.
func TestSeveralNamesOccur(t *testing.T) {
	t.Parallel()
	client, server := splitOffice(t)
	isolated := func() *probes.IsolationMatcher { return probes.BeIsolatedFrom(server, ssh) }
	g := gomega.NewWithT(t)
	g.Expect(client).To(isolated().At("fw", "server").By("no ssh of old", "no ssh of new").Because(evidence.Drop, evidence.Reject))
	g.Expect(client).To(isolated().At("fw").At("server"), "said one after the other")
	for want, m := range map[string]*probes.IsolationMatcher{
		"not at fw":                                            isolated().At("fw"),
		"not at server":                                        isolated().At("server"),
		`not by "no ssh of old"`:                               isolated().By("no ssh of old"),
		"not because of drop":                                  isolated().Because(evidence.Drop),
		"not because of drop or noroute":                       isolated().Because(evidence.Drop, evidence.NoRoute),
		"no probe was stopped at client: take it out":          isolated().At("fw", "server", "client"),
		`no probe was stopped by "no web": take it out`:        isolated().By("no ssh of old", "no ssh of new", "no web"),
		"no probe was stopped because of noroute: take it out": isolated().Because(evidence.Drop, evidence.NoRoute, evidence.Reject),
		"\n  expected: a policy ends every request on its way, at fw, by \"a\" and \"b\"\n": isolated().At("fw").By("a", "b"),
	} {
		if holds, err := m.Match(client); holds || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v, %v", want, holds, err)
		}
	}
}

// What could match anything, or nothing, is a mistake, whatever comes of the probe.
func TestNamesThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	client, server := splitOffice(t)
	result, err := probes.Watch(t.Context(), client, server, ssh)
	if err != nil {
		t.Fatal(err)
	}
	for want, matcher := range map[string]gomega.OmegaMatcher{
		`BeIsolatedFrom: At was given no name: `:                             probes.BeIsolatedFrom(server, ssh).At(""),
		`BeIsolatedFrom: By was given no name: `:                             probes.BeIsolatedFrom(server, ssh).By("no ssh of old", ""),
		`BeIsolatedFrom: Because was given no name: `:                        probes.BeIsolatedFrom(server, ssh).Because(""),
		`BeUnansweredBy: At was given no name: `:                             probes.BeUnansweredBy(server, ssh).At(),
		`BeRejectedBy: By was given no name: `:                               probes.BeRejectedBy("server", server, ssh).By(""),
		`BeIsolatedFrom: At: lab office has no node "gw"; it has: client, s`: probes.BeIsolatedFrom(server, ssh).At("fw", "gw"),
		`BeRejectedBy: lab office has no node ""; it has: client, s`:         probes.BeRejectedBy("", server, ssh),
	} {
		for _, actual := range []any{client, result} {
			if holds, err := matcher.Match(actual); holds || err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("want %q: %v, %v", want, holds, err)
			}
		}
	}
}

// Except says all but: it is asked as well, and is to be answered.
func TestExceptIsAnswered(t *testing.T) {
	t.Parallel()
	client, server := splitOffice(t)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.BeIsolatedFrom(server, ssh).Except(web))
	for want, m := range map[string]*probes.IsolationMatcher{
		"tcp/22: silent: ": probes.BeIsolatedFrom(server, ssh).Except(web, ssh.Within(time.Second)),
		"nobody has port 81: it is one of those that Except has answered": probes.BeIsolatedFrom(server, ssh).Except(probes.TCP(81)),
		"server was reached\n":                           probes.BeIsolatedFrom(server, icmp, ssh).Except(web),
		"BeIsolatedFrom: Except wants the *harness.Node": probes.BeIsolatedFrom(server, ssh).Except(web),
	} {
		var actual any = client
		if strings.Contains(want, "wants") {
			actual = ask(t, client, server, ssh)
		}
		if holds, err := m.Match(actual); holds || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v, %v", want, holds, err)
		}
	}
}

// heard starts a plain service that writes down what it reads and answers it, at every
// IPv4 address of a node.
func heard(t *testing.T, node *harness.Node, port uint16) (words func() int) {
	t.Helper()
	conn, err := node.ListenPacket(t.Context(), "udp4", netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	got := make(chan struct{}, 1000)
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			got <- struct{}{}
			_, _ = conn.WriteTo([]byte("heard"), from) // rules may stop it
		}
	}()
	return func() int { return len(got) }
}

// Where only answers are stopped, what is sent arrives: that is no isolation.
func TestAnswersThatAreStoppedIsolateNobody(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter { chain forward { type filter hook forward priority 0; policy accept;
		iifname "dmz" drop comment "no word comes back"; }; }`))
	client, server := lab.Node("client"), lab.Node("server")
	dns, icmp := briefly(dns)[0], briefly(icmp)[0]
	words := heard(t, server, 53)
	g := gomega.NewWithT(t)
	to := netip.MustParseAddr("10.0.2.1")
	g.Expect(client).NotTo(probes.BeIsolatedFrom(to, dns))
	if words() == 0 {
		t.Error("the judge: the service read nothing")
	}
	g.Expect(client).To(probes.BeUnansweredBy(to, dns).At("fw").By("no word comes back").Because(evidence.Drop))
	g.Expect(client).To(probes.BeUnansweredBy(server, icmp))
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.BeIsolatedFrom(to, dns)) })
	if len(said) != 1 || !strings.HasPrefix(said[0], "client is not isolated from 10.0.2.1:") ||
		!strings.Contains(said[0], "the request arrived; the answer was dropped at fw by rule") {
		t.Errorf("%q", said)
	}

	before := words()
	g.Expect(server).To(probes.BeIsolatedFrom(client, dns).At("fw"), "the other way round it is one")
	if holds, err := probes.BeUnansweredBy(client, dns).Match(server); holds || err == nil || !strings.Contains(err.Error(), "the request did not arrive") {
		t.Error(holds, err)
	}
	if err := lab.Node("fw").Nft("flush ruleset"); err != nil {
		t.Fatal(err)
	}
	g.Expect(client).NotTo(probes.BeUnansweredBy(to, dns))
	g.Expect(client).NotTo(probes.BeUnansweredBy(server, icmp))
	if words() != before+1 {
		t.Errorf("the judge: %d words instead of %d", words(), before+1)
	}
}

func TestResultAll(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	both := ask(t, lab.Node("client"), lab.Node("server"), icmp)
	if got := fmt.Sprint(both.All()); len(both.All()) != 2 || got != fmt.Sprint(both.Each) {
		t.Error(got)
	}
	if one := both.Each[1].All(); len(one) != 1 || one[0].Addr != both.Each[1].Addr {
		t.Error(one)
	}
}
