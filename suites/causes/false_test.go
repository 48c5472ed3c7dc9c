package causes_test

import (
	"context"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// provesNothing says that a probe shows neither that the target is isolated nor
// that it is not reached, and why.
func provesNothing(ctx context.Context, from *harness.Node, to probes.Target, p probes.Probe, why ...string) {
	GinkgoHelper()
	noVerdict(probes.BeIsolatedFrom(to, p).WithContext(ctx), from, why...)
	unreached := InterceptGomegaFailures(func() {
		Expect(from).NotTo(probes.Reach(to, p.Within(silence)).WithContext(ctx))
	})
	Expect(unreached).NotTo(BeEmpty(), "NotTo(Reach(...)) holds")
}

// Each of these passes somewhere for an isolation.
var _ = Describe("it proves no isolation", func() {
	It("that an address is of a network that knows nothing of the asker's", func(ctx SpecContext) {
		island, server := islands()
		for _, p := range all {
			for _, addr := range []netip.Addr{server4, server6} {
				provesNothing(ctx, island, addr, p, "unsent", "the request was not routed at islander", `Because("noroute")`)
			}
			for _, addr := range island.Addrs() {
				provesNothing(ctx, server, addr, p, "unsent", "the request was not routed at server", `Because("noroute")`)
			}
		}
	})

	It("that the two are in two labs, which nothing connects", func(ctx SpecContext) {
		one, two := up(), up()
		const why = `client and server are in two labs, "office" and "office", which nothing connects`
		for _, p := range all {
			for _, to := range []probes.Target{two.server, two.server.On("dmz")} {
				provesNothing(ctx, one.client, to, p, why)
				noVerdict(probes.BeRefusedBy(to, p).WithContext(ctx), one.client, why)
				noVerdict(probes.BeRejectedBy("fw", to, p).WithContext(ctx), one.client, why)
				_, err := probes.Ask(ctx, one.client, to, p)
				Expect(err).To(MatchError(ContainSubstring(why)))
				_, err = probes.Watch(ctx, one.client, to, p)
				Expect(err).To(MatchError(ContainSubstring(why)))
				for _, watch := range []bool{false, true} {
					grid := probes.Grid{From: []*harness.Node{one.client}, To: []probes.Target{to}, Probes: []probes.Probe{p}, Watch: watch}
					_, err = grid.Survey(ctx)
					Expect(err).To(MatchError(ContainSubstring(why)))
				}
			}
		}

		By("asking within one of them, as the control; what came of it says nothing of the other")
		result, err := probes.Ask(ctx, one.client, one.server, web)
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(probes.Reach(one.server, web))
		noVerdict(probes.Reach(two.server, web), result, "another node that is called server")
		noVerdict(probes.BeIsolatedFrom(two.server, web), result, "another node that is called server")
	})

	It("that they have no family of addresses in common", func(ctx SpecContext) {
		network := topo.New("families")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		network.Host("old", lan.NoAddress().At("10.0.0.4"))
		network.Host("new", lan.NoAddress().At("fd00::6"))
		network.Host("none", lan.NoAddress())
		lab := harness.Up(GinkgoTB(), network)
		provesNothing(ctx, lab.Node("old"), lab.Node("new"), icmp, "old and new have no family of addresses in common")
		provesNothing(ctx, lab.Node("old"), lab.Node("none"), icmp, "old and none have no family of addresses in common")
	})

	It("that the asker has no route", func(ctx SpecContext) {
		o := up()
		takeRoutes(o.client, "0.0.0.0/0", "::/0")
		for _, p := range all {
			provesNothing(ctx, o.client, o.server, p, "unsent: network is unreachable", "the request was not routed at client")
		}
	})

	It("that the asker's own rule keeps the probe, where the firewall's is meant", func(ctx SpecContext) {
		o := ruled(atClient, `table inet filter { chain output { type filter hook output priority 0; meta l4proto { tcp, udp } drop comment "closed"; }; }`)
		for _, p := range []probes.Probe{web, dns} {
			noVerdict(probes.BeIsolatedFrom(o.server, p).At("fw").By("closed").WithContext(ctx), o.client, "was dropped at client", "not at fw")
			noVerdict(probes.Reach(o.server, p.Within(silence)).WithContext(ctx), o.client)
		}
	})

	It("that the packet is too large to be sent", func(ctx SpecContext) {
		o := up()
		shrink("lan", o.client)
		for _, p := range large {
			provesNothing(ctx, o.client, o.server, p, "unsent: message too long", "the request was too large at client")
		}
	})

	It("that nobody listens, or not yet", func(ctx SpecContext) {
		o := up()
		for _, p := range []probes.Probe{probes.TCP(81), probes.UDP(54)} {
			provesNothing(ctx, o.client, o.server, p, "the request was refused at server", "nobody has port", `Because("nolistener")`)
		}
	})

	It("that nobody listens behind a rule for another port", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; tcp dport 22 drop comment "no ssh"; }; }`)
		noVerdict(probes.BeIsolatedFrom(o.server, probes.TCP(81)).At("fw").By("no ssh").WithContext(ctx), o.client, "refused at server")
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "no ssh", probes.TCP(22))
	})

	DescribeTable("that a link is down", func(ctx SpecContext, node func(office) *harness.Node, port string) {
		o := up()
		Expect(node(o).Port(port).Down()).To(Succeed())
		for _, p := range all {
			provesNothing(ctx, o.client, o.server, p, "at "+node(o).Name()+"/"+port, "the link is down", `Because("linkdown")`)
		}
	},
		Entry("at the client", atClient, "lan"),
		Entry("at fw", atFw, "lan"),
		Entry("behind fw", atFw, "dmz"),
		Entry("at the server", atServer, "dmz"),
	)

	It("that a link is still coming up", func(ctx SpecContext) {
		o := up()
		for _, node := range []*harness.Node{o.server, o.fw, o.server, o.fw} {
			Expect(node.Netlink().LinkSetDown(link(node, "dmz"))).To(Succeed())
			Expect(node.Netlink().LinkSetUp(link(node, "dmz"))).To(Succeed())
			for _, p := range all {
				holds, err := probes.BeIsolatedFrom(o.server, p.Within(silence)).WithContext(ctx).Match(o.client)
				Expect(holds).To(BeFalse(), "%s, when %s's came up", p, node)
				if err == nil { // it is up by now
					Expect(o.client).To(probes.Reach(o.server, patient(p)...).WithContext(ctx))
				} else {
					Expect(err).To(MatchError(ContainSubstring("client is not shown to be isolated from server")))
				}
			}
		}
	})

	It("that an address is not settled, or lost, or that nobody has it", func(ctx SpecContext) {
		o := up()
		asks(o.fw, "dmz")
		provesNothing(ctx, o.client, netip.MustParseAddr("10.0.2.99"), icmp, "nobody has answered for 10.0.2.99 yet", `Because("neighbour")`)
		unsettle(o.server, "dmz", "fd00:2::1/64")
		provesNothing(ctx, o.client, server6, web, "fd00:2::1 is tentative", `Because("tentative")`)
		take(o.server, "dmz", "10.0.2.1/24")
		provesNothing(ctx, o.client, server4, web, "it does not have 10.0.2.1", `Because("noaddress")`)
	})

	It("that only one of the families is", func(ctx SpecContext) {
		o := ruled(atFw, `table ip filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)
		for _, p := range all {
			provesNothing(ctx, o.client, o.server, p, "server was reached")
		}
		isolated(ctx, o.client, server4, "fw", evidence.Drop, "policy ip filter forward", all...)
	})

	It("that only one of the ports is", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; tcp dport 80 drop; }; }`)
		noVerdict(probes.BeIsolatedFrom(o.server, web, dns).WithContext(ctx), o.client, "server was reached")
		noVerdict(probes.BeIsolatedFrom(o.server, dns, web).WithContext(ctx), o.client, "server was reached")
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "tcp dport 80 drop", web)
	})

	It("that a rule has a name like that", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; policy drop;
			tcp dport 80 drop comment "no web from the lan"; }; }`)
		for _, name := range []string{"no web", "No web from the lan", "drop", "tcp dport 80", "policy inet filter forward", "forward"} {
			noVerdict(probes.BeIsolatedFrom(o.server, web).By(name).WithContext(ctx), o.client, "not by")
		}
		for _, name := range []string{"policy", "drop", "policy inet filter", "policy drop", "policy inet filter forward2", "no web from the lan"} {
			noVerdict(probes.BeIsolatedFrom(o.server, dns).By(name).WithContext(ctx), o.client, "not by")
		}
		for _, name := range []string{"f", "firewall", "FW", "fw/lan"} {
			noVerdict(probes.BeIsolatedFrom(o.server, web).At(name).WithContext(ctx), o.client, "has no node")
		}
		Expect(o.client).To(probes.BeIsolatedFrom(o.server, web).At("fw").By("no web from the lan").WithContext(ctx))
		Expect(o.client).To(probes.BeIsolatedFrom(o.server, dns).At("fw").By("policy inet filter forward").WithContext(ctx))
	})

	It("that another policy isolates than is meant", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; tcp dport 80 drop comment "no web"; }; }`)
		Expect(o.fw.SetSysctl("net.ipv4.ip_forward", "0")).To(Succeed())
		noVerdict(probes.BeIsolatedFrom(server4, web).At("fw").By("no web").WithContext(ctx), o.client, "was not forwarded at fw", "not by")
		noVerdict(probes.BeIsolatedFrom(server4, web).Because(evidence.Drop).WithContext(ctx), o.client, "not because of drop")
		Expect(o.fw.SetSysctl("net.ipv4.ip_forward", "1")).To(Succeed())
		Expect(o.client).To(probes.BeIsolatedFrom(server4, web).At("fw").By("no web").WithContext(ctx))
	})

	It("that the server refuses by itself, where the firewall is meant", func(ctx SpecContext) {
		o := ruled(atServer, `table inet filter { chain input { type filter hook input priority 0; tcp dport 80 reject with tcp reset; }; }`)
		noVerdict(probes.BeIsolatedFrom(o.server, web).At("fw").WithContext(ctx), o.client, "was rejected at server", "not at fw")
		noVerdict(probes.BeRejectedBy("fw", o.server, web).WithContext(ctx), o.client, "was rejected at server")
	})

	It("that the question could not be asked", func(ctx SpecContext) {
		o := up()
		over, cancel := context.WithCancel(ctx)
		cancel()
		provesNothing(over, o.client, o.server, web, "context canceled")
		provesNothing(ctx, o.client, o.server, probes.Probe{}, "the zero Probe asks nothing")
		provesNothing(ctx, o.client, o.server, probes.TCP(0), "there is no port 0")
		provesNothing(ctx, o.client, o.server, icmp.Size(70000), "a payload of 70000 bytes")
		provesNothing(ctx, o.client, nil, web, "no target")
		provesNothing(ctx, o.client, (*harness.Node)(nil), web, "a nil node")
		provesNothing(ctx, nil, o.server, web, "the node that asks is nil")
	})

	It("that there are no descriptors to ask with", func(ctx SpecContext) {
		GinkgoT().Setenv("NSTEST_RULE_COVERAGE", "") // nor any to hear rules with, which it would say
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)
		var kept unix.Rlimit
		Expect(unix.Getrlimit(unix.RLIMIT_NOFILE, &kept)).To(Succeed())
		DeferCleanup(func() { Expect(unix.Setrlimit(unix.RLIMIT_NOFILE, &kept)).To(Succeed()) })
		Expect(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: kept.Max})).To(Succeed())
		_, isolation := probes.BeIsolatedFrom(o.server, web).WithContext(ctx).Match(o.client)
		_, reach := probes.Reach(o.server, web).WithContext(ctx).Match(o.client)
		Expect(unix.Setrlimit(unix.RLIMIT_NOFILE, &kept)).To(Succeed())
		Expect(isolation).To(MatchError(unix.EMFILE))
		Expect(reach).To(MatchError(unix.EMFILE))
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "policy inet filter forward", web)
	})

	It("that the lab is gone", func(ctx SpecContext) {
		o := up()
		o.client.Lab().Down()
		for _, p := range all {
			provesNothing(ctx, o.client, o.server, p)
		}
	})

	It("that the checker has nothing to check", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)
		var none *harness.Node
		for actual, why := range map[any]string{
			nil: "it got a <nil>", none: "the node that asks is nil", "client": "it got a string", true: "it got a bool",
		} {
			noVerdict(probes.BeIsolatedFrom(o.server, web), actual, why)
		}
		noVerdict(probes.BeIsolatedFrom(o.server, web), probes.Result{}, "the zero Result: nothing was asked")
		bare, err := probes.Ask(ctx, o.client, o.server, web.Within(silence))
		Expect(err).NotTo(HaveOccurred())
		noVerdict(probes.BeIsolatedFrom(o.server, web), bare, "not of a probe under watch")
		watched, err := probes.Watch(ctx, o.client, o.server, web)
		Expect(err).NotTo(HaveOccurred())
		noVerdict(probes.BeIsolatedFrom(o.fw, web), watched, "the Result is about server, not about fw")
		noVerdict(probes.BeIsolatedFrom(o.server, dns), watched, "the Result is about tcp/80, not about udp/53")
		Expect(watched).To(probes.BeIsolatedFrom(o.server, web))
	})

	It("that a matrix is silent", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)
		matrix, err := probes.Survey(ctx, o.client.Lab(), icmp.Within(silence))
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("client", "server")).To(Equal("silent"))
		noVerdict(probes.MatchMatrix(`
			        client  server  fw
			client  .       silent  ok
			server  silent  .       ok
			fw      ok      ok      .
		`), matrix, "silent")
	})
})

// islands are two nodes of one network that nothing joins.
func islands() (island, server *harness.Node) {
	GinkgoHelper()
	network := topo.New("sea")
	network.Host("islander", network.Switch("shore", "192.0.2.0/24", "fd00:99::/64"))
	network.Host("server", network.Switch("reef", dmz4.String(), dmz6.String()))
	lab := harness.Up(GinkgoTB(), network)
	return lab.Node("islander"), lab.Node("server")
}

var _ = Describe("it proves an isolation", func() {
	It("of two nodes that nothing joins", func(ctx SpecContext) {
		island, server := islands()
		for _, p := range all {
			for from, to := range map[*harness.Node]*harness.Node{island: server, server: island} {
				Expect(from).To(probes.BeIsolatedFrom(to, p).WithContext(ctx))
				Expect(from).To(probes.BeIsolatedFrom(to, p).Because(evidence.NoPath).WithContext(ctx))
				noVerdict(probes.BeIsolatedFrom(to, p).Because(evidence.NoRoute).WithContext(ctx), from, "not because of noroute")
				noVerdict(probes.Reach(to, p.Within(silence)).WithContext(ctx), from)
			}
		}
		_, err := island.Dial(ctx, "tcp", netip.AddrPortFrom(server4, 80))
		Expect(err).To(MatchError(unix.ENETUNREACH), "the judge: a plain connection has no way")
	})

	It("without any program on the machine", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0; tcp dport 80 drop comment "no web"; }; }`)
		GinkgoTB().Setenv("PATH", "/nonexistent")
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "no web", web)
		o.reaches(ctx, icmp, dns)
	})
})
