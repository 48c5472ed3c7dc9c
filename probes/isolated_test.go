package probes_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

const guarded = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		tcp dport 22 drop comment "no ssh from the lan"
		tcp dport 25 reject with tcp reset
		udp dport 53 drop
		icmp type echo-request drop comment "no ping"
		icmpv6 type echo-request drop comment "no ping"
	}
}`

var (
	ssh  = probes.TCP(22)
	mail = probes.TCP(25)
)

// guardedOffice is an office with rules, and its server with services.
func guardedOffice(t *testing.T) (client, server *harness.Node) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(guarded))
	probes.Serve(t, lab.Node("server"), web, ssh, mail, dns)
	return lab.Node("client"), lab.Node("server")
}

func TestBeIsolatedFromByARule(t *testing.T) {
	t.Parallel()
	client, server := guardedOffice(t)
	g := gomega.NewWithT(t)
	for rule, p := range map[string]probes.Probe{
		"no ssh from the lan":                ssh,
		"tcp dport 25 reject with tcp reset": mail,
		"udp dport 53 drop":                  dns,
		"no ping":                            icmp,
	} {
		g.Expect(client).To(probes.BeIsolatedFrom(server, p).At("fw").By(rule))
		g.Expect(client).To(probes.BeIsolatedFrom(server.On("dmz"), p))
	}
	g.Expect(client).To(probes.BeIsolatedFrom(server, ssh, dns), "several probes")
	watched, err := probes.Watch(t.Context(), client, server, ssh)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(watched).To(probes.BeIsolatedFrom(server, ssh).At("fw"))
}

// It is false only where the target answered.
func TestBeIsolatedFromIsFalseWhereTheTargetAnswered(t *testing.T) {
	t.Parallel()
	client, server := guardedOffice(t)
	gomega.NewWithT(t).Expect(client).NotTo(probes.BeIsolatedFrom(server, web))
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.BeIsolatedFrom(server, web)) })
	if len(said) != 1 || !strings.HasPrefix(said[0], "client is not isolated from server:\n  client -> server (10.0.2.1) tcp/80: answered by server after TIME\n") {
		t.Errorf("%q", said)
	}
}

// What is no isolation by a policy fails both ways, and says what it is.
func TestBeIsolatedFromIsAnErrorWhereNothingIsShown(t *testing.T) {
	t.Parallel()
	client, server := guardedOffice(t)
	plain, err := probes.Ask(t.Context(), client, server, ssh.Within(soon))
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		actual  any
		matcher gomega.OmegaMatcher
	}{
		"nobody has port 23: no policy isolates here, it looks like a mistake in the test": {client, probes.BeIsolatedFrom(server, probes.TCP(23))},
		`("no ssh from the lan"): not at server`:                                           {client, probes.BeIsolatedFrom(server, ssh).At("server")},
		`("no ssh from the lan"): not by "another rule"`:                                   {client, probes.BeIsolatedFrom(server, ssh).By("another rule")},
		`("no ssh from the lan"): not because of noroute`:                                  {client, probes.BeIsolatedFrom(server, ssh).Because(evidence.NoRoute)},
		`lab office has no node "gw"; it has: client, server, fw`:                          {client, probes.BeIsolatedFrom(server, ssh).At("gw")},
		"the Result is not of a probe under watch: use probes.Watch":                       {plain, probes.BeIsolatedFrom(server)},
		"BeIsolatedFrom wants the *harness.Node that asks":                                 {"client", probes.BeIsolatedFrom(server)},
		"BeIsolatedFrom: the node that asks is nil":                                        {(*harness.Node)(nil), probes.BeIsolatedFrom(server)},
		"BeIsolatedFrom: the zero Probe asks nothing":                                      {client, probes.BeIsolatedFrom(server, probes.Probe{})},
		"is not shown to be isolated from 10.9.9.9":                                        {server, probes.BeIsolatedFrom(netip.MustParseAddr("10.9.9.9"), ssh).Because(evidence.Drop)},
		"client asks server, and is not shown to be refused by server":                     {client, probes.BeRefusedBy(server, ssh)},
		"client asks server, and is not shown to be rejected by server":                    {client, probes.BeRejectedBy("server", server, mail)},
		"fw says so, not client":                                                           {client, probes.BeRejectedBy("client", server, mail)},
		`not by "no ping"`:                                                                 {client, probes.BeRejectedBy("fw", server, mail).By("no ping")},
		`BeRejectedBy: lab office has no node "gw"`:                                        {client, probes.BeRejectedBy("gw", server, mail)},
	} {
		for how, said := range map[string][]string{
			"To":    failures(func(g gomega.Gomega) { g.Expect(c.actual).To(c.matcher) }),
			"NotTo": failures(func(g gomega.Gomega) { g.Expect(c.actual).NotTo(c.matcher) }),
		} {
			if len(said) != 1 || !strings.Contains(said[0], want) {
				t.Errorf("%s: want %q in %q", how, want, said)
			}
		}
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	t.Parallel()
	client, server := guardedOffice(t)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.BeRefusedBy(server, probes.TCP(23), probes.UDP(99)))
	g.Expect(client).To(probes.BeRejectedBy("fw", server, mail).By("tcp dport 25 reject with tcp reset"))
	g.Expect(client).To(probes.BeRejectedBy("fw", server.On("dmz").Addrs()[0], mail), "asked by address")
	g.Expect(client).NotTo(probes.BeRefusedBy(server, web))
	g.Expect(client).NotTo(probes.BeRejectedBy("fw", server, web))
	bare := ask(t, client, server, mail)
	watched, err := probes.Watch(t.Context(), client, server, mail)
	if err != nil || bare.Outcome != probes.Refused || bare.Proven {
		t.Error(bare, err)
	}
	if watched.Outcome != probes.Rejected || watched.By != "fw" || !watched.Proven || watched.Cause.Kind != evidence.Reject {
		t.Errorf("%+v, %v", watched, watched.Cause)
	}
}

func TestBeIsolatedFromByRouting(t *testing.T) {
	t.Parallel()
	network := topo.New("closed")
	a, b := network.Wire("a", "10.0.1.0/24", "fd00:1::/64"), network.Wire("b", "10.0.2.0/24", "fd00:2::/64")
	network.Host("client", a)
	network.Host("server", b)
	network.Router("fw", a, b).NoForward()
	lab := harness.Up(t, network)
	g := gomega.NewWithT(t)
	for _, p := range []probes.Probe{icmp, web, dns} {
		g.Expect(lab.Node("client")).To(probes.BeIsolatedFrom(lab.Node("server"), p).At("fw"))
		g.Expect(lab.Node("client")).To(probes.BeIsolatedFrom(lab.Node("server"), p).Because(evidence.NoForward))
	}
}

// With one address at many nodes, a tap says which of them an answer left.
func TestWatchTellsWhoAnswered(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(3))
	for i, name := range []string{"tenant-0", "tenant-1", "tenant-2"} {
		r, err := probes.Watch(t.Context(), lab.Node(name+"/client"), netip.MustParseAddr("10.0.0.2"), icmp)
		if err != nil || r.Outcome != probes.Answered || r.By != name+"/server" || !r.Proven || r.Cause != nil {
			t.Errorf("%d: %+v, %v", i, r, err)
		}
	}
}

// A failure of Reach is looked into when it is printed.
func TestReachTellsWhatStoppedTheProbe(t *testing.T) {
	t.Parallel()
	client, server := guardedOffice(t)
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(server, ssh.Within(soon))) })
	for _, want := range []string{
		"client does not reach server with tcp/22:\n", "\nonce more, under watch:\n",
		"\n    the request was dropped at fw by rule \"tcp dport 22 drop\" of inet filter forward (\"no ssh from the lan\")\n",
		"client/lan out  request: tcp 10.0.1.1:", "  fw/lan in       request: tcp 10.0.1.1:",
	} {
		if len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("want %q in %q", want, said)
		}
	}
}
