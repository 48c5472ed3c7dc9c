package causes_test

import (
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// forks is client --lan-- {one, two} --dmz-- server: by one goes all, and by two what a rule of
// policy routing of the client says.
func forks(rule topo.Rule) (client, one, two, server *harness.Node) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	network := topo.New("forks")
	lan, dmz := network.Switch("lan", lan4.String(), lan6.String()), network.Switch("dmz", dmz4.String(), dmz6.String())
	rule.Table = 100
	network.Host("client", lan.At("10.0.1.10", "fd00:1::10")).Rule(rule).Route(
		topo.Route{To: "0.0.0.0/0", Via: "10.0.1.1"}, topo.Route{To: "::/0", Via: "fd00:1::1"},
		topo.Route{To: "0.0.0.0/0", Via: "10.0.1.2", Table: 100}, topo.Route{To: "::/0", Via: "fd00:1::2", Table: 100})
	network.Router("one", lan.At("10.0.1.1", "fd00:1::1"), dmz.At("10.0.2.1", "fd00:2::1"))
	network.Router("two", lan.At("10.0.1.2", "fd00:1::2"), dmz.At("10.0.2.2", "fd00:2::2"))
	network.Host("server", dmz.At("10.0.2.10", "fd00:2::10")).Route(
		topo.Route{To: "0.0.0.0/0", Via: "10.0.2.1"}, topo.Route{To: "::/0", Via: "fd00:2::1"})
	lab := harness.Up(GinkgoTB(), network)
	client, one, two, server = lab.Node("client"), lab.Node("one"), lab.Node("two"), lab.Node("server")
	probes.Serve(GinkgoTB(), server, web, dns)
	judged(one, two)
	return client, one, two, server
}

var _ = Describe("the way of a request", func() {
	DescribeTable("is the one that a rule of policy routing chose", func(ctx SpecContext, rule topo.Rule, chosen, other probes.Probe) {
		client, one, two, server := forks(rule)
		Expect(client).To(probes.Reach(server, chosen.Within(soon)).Through("two").WithContext(ctx))
		Expect(packetsOf(two, "inet", counterOf(chosen))).To(BeNumerically(">=", 2), "of both families")
		Expect(packetsOf(one, "inet", counterOf(chosen))).To(BeZero())
		Expect(client).To(probes.Reach(server, other.Within(soon)).Through("one").WithContext(ctx))
		Expect(packetsOf(one, "inet", counterOf(other))).To(BeNumerically(">=", 2))
		Expect(packetsOf(two, "inet", counterOf(other))).To(BeZero())

		for _, r := range watch(ctx, client, server, chosen.Within(soon), other.Within(soon)) {
			through, not := "two", "one"
			if counterOf(r.Probe) == counterOf(other) {
				through, not = "one", "two"
			}
			Expect(r).To(probes.Reach(server).Through(through))
			noVerdict(probes.Reach(server).Through(not), r, "the request did not go through "+not+"; it went client -> "+through+" -> server:")
			noVerdict(probes.Reach(server).Through(through, through), r, "the request did not go through "+through+", then "+through)
			noVerdict(probes.Reach(server).Through("server"), r, "did not go through server")
			noVerdict(probes.Reach(server).Through("client"), r, "did not go through client")
			first := hopAt(r, evidence.Request, "client")
			Expect(first.Route).NotTo(BeNil(), "%s", r.Hops())
			Expect(first.Route.Via.String()).To(HaveSuffix(map[string]string{"one": "1", "two": "2"}[through]))
			if through == "two" {
				Expect(first.PolicyRule).To(HaveValue(HaveField("Table", 100)))
				Expect(first.String()).To(ContainSubstring("in table 100, to which policy routing rule"))
			}
		}
	},
		Entry("by protocol and port", topo.Rule{Protocol: "udp", Port: "53"}, dns, web),
		Entry("by protocol", topo.Rule{Protocol: "tcp"}, web, dns),
		Entry("by mark", topo.Rule{Mark: 7}, icmp.Mark(7), dns),
	)

	It("is through every router on it, in order", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("row")
		a, b, c := network.Wire("a", "10.0.1.0/24", "fd00:1::/64"), network.Wire("b", "10.0.2.0/24", "fd00:2::/64"), network.Wire("c", "10.0.3.0/24", "fd00:3::/64")
		network.Host("client", a)
		network.Router("outer", a, b)
		network.Router("inner", b, c)
		network.Host("server", c)
		lab := harness.Up(GinkgoTB(), network)
		client, server := lab.Node("client"), lab.Node("server")
		probes.Serve(GinkgoTB(), server, web, dns)
		judged(lab.Node("outer"), lab.Node("inner"))
		for _, p := range all {
			Expect(client).To(probes.Reach(server, p.Within(soon)).Through("outer", "inner").WithContext(ctx))
			Expect(client).To(probes.Reach(server, p.Within(soon)).Through("inner").WithContext(ctx))
			for _, node := range []string{"outer", "inner"} {
				Expect(packetsOf(lab.Node(node), "inet", counterOf(p))).To(BeNumerically(">=", 4))
			}
		}
		r := watch(ctx, client, server, web.Within(soon))[0]
		noVerdict(probes.Reach(server).Through("inner", "outer"), r, "the request did not go through inner, then outer; it went client -> outer -> inner -> server:")
	})

	It("is through a bridge in a node", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := bridged()
		Expect(o.fw.Nft(`table bridge judge {
			counter passed { }
			chain forward { type filter hook forward priority 0;
				iifname "left" tcp dport 80 tcp flags & (syn | ack) == syn counter name "passed"
				iifname "left" udp dport 53 counter name "passed"
				iifname "left" icmp type echo-request counter name "passed"
				iifname "left" icmpv6 type echo-request counter name "passed"
			}
		}`)).To(Succeed())
		for _, p := range all {
			before := packetsOf(o.fw, "bridge", "passed")
			for _, r := range watch(ctx, o.client, o.server, p.Within(soon)) {
				Expect(r).To(probes.Reach(o.server).Through("fw"))
				hop := hopAt(r, evidence.Request, "fw")
				Expect(hop).To(And(HaveField("In", "left"), HaveField("Out", "right"), HaveField("Bridged", true), HaveField("Route", BeNil())))
				Expect(hop.Rules).To(ContainElement(HaveField("Rule.Table", "judge")), "%s", hop)
			}
			Expect(packetsOf(o.fw, "bridge", "passed") - before).To(BeNumerically(">=", 2))
		}
	})

	It("is not a copy's", func(ctx SpecContext) {
		o, ids := twoWays()
		judged(o.fw, ids)
		mirrored(o.fw, "10.0.7.2", "mirror")
		results := watch(ctx, o.client, server4, dns.Within(soon))
		Expect(results).To(HaveLen(1))
		copies := packetsOf(ids, "inet", "names")
		Expect(copies).To(And(BeNumerically(">", 0), Equal(packetsOf(o.fw, "inet", "names"))), "each is copied")
		Expect(results[0]).To(probes.Reach(server4).Through("fw"))
		noVerdict(probes.Reach(server4).Through("ids"), results[0], "the request did not go through ids; it went client -> fw -> server:")
		Expect(results[0].Hops()).NotTo(ContainElement(HaveField("Node", "ids")))

		By("dropping the request itself: what arrives is the copy")
		Expect(o.fw.Nft(`table inet shut { chain forward { type filter hook forward priority 10; iifname "lan" drop; }; }`)).To(Succeed())
		results = watch(ctx, o.client, server4, dns.Within(soon))
		Expect(results).To(HaveLen(1))
		Expect(packetsOf(ids, "inet", "names")).To(BeNumerically(">", copies))
		Expect(results[0]).To(probes.Reach(server4))
		for _, node := range []string{"fw", "ids"} {
			noVerdict(probes.Reach(server4).Through(node), results[0], "the request itself was not seen to arrive: what was answered is a copy of it")
		}
		Expect(wayOf(results[0], evidence.Request)).To(Equal([]string{"client", "fw"}))
	})
})

// peers are who came, as the socket has it.
func (p *plain) peers() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.heard)
}

var _ = Describe("a translated request", func() {
	DescribeTable("is so by the node and the rule that did it", func(ctx SpecContext, v6 bool) {
		f := newFarm()
		f.translate("10.0.2.1", "fd00:2::1")
		Expect(f.fw.Nft(`table inet source { chain out { type nat hook postrouting priority 100; oifname "dmz" masquerade comment "hide"; }; }`)).To(Succeed())
		to, own, asked, inner := public4, "10.0.2.2", "ip daddr 203.0.113.9 dnat ip to 10.0.2.1", server4
		if v6 {
			to, own, asked, inner = public6, "fd00:2::2", "ip6 daddr fd00:9::9 dnat ip6 to fd00:2::1", server6
		}
		const port = 8080
		judge := hears(ctx, f.server, port)
		results := watch(ctx, f.client, to, icmp.Within(soon), web.Within(soon), dns.Within(soon), probes.TCP(port).Within(soon))
		Expect(results).To(HaveLen(4))
		for _, r := range results {
			Expect(r).To(probes.Reach(to).Through("fw").TranslatedBy("fw"))
			Expect(r).To(probes.Reach(to).TranslatedBy("fw", "hide"))
			Expect(r).To(probes.Reach(to).TranslatedBy("fw", asked))
			noVerdict(probes.Reach(to).TranslatedBy("fw", "accept"), r, `the request was not translated by fw by "accept"; it was by fw by another rule:`)
			noVerdict(probes.Reach(to).TranslatedBy("server"), r, "the request was not translated by server; it was by fw:")
			there, back := hopAt(r, evidence.Request, "fw"), hopAt(r, evidence.Answer, "fw")
			Expect(there.Came.Destination.Addr()).To(Equal(to))
			Expect(there.Left.Destination.Addr()).To(Equal(inner))
			Expect(there.Left.Source.Addr().String()).To(Equal(own))
			Expect(back.Came.Destination.Addr().String()).To(Equal(own))
			Expect(back.Left.Source.Addr()).To(Equal(to))
			Expect(strings.Count(there.String(), "translated from ")).To(Equal(1), "%s", there)
		}

		By("asking the server's own socket who came")
		for _, r := range results {
			if r.Probe.String() == probes.TCP(port).String() {
				Eventually(judge.peers).WithContext(ctx).WithTimeout(soon).Should(ContainElement(hopAt(r, evidence.Request, "fw").Left.Source.String()))
			}
		}

		By("asking the server at its own address, where fw hides the client alone, as the control")
		for _, r := range watch(ctx, f.client, inner, web.Within(soon)) {
			noVerdict(probes.Reach(inner).TranslatedBy("fw", asked), r, "by fw by another rule")
		}
		lift(f.fw)
		for _, r := range watch(ctx, f.client, inner, web.Within(soon)) {
			noVerdict(probes.Reach(inner).TranslatedBy("fw"), r, "the request was not translated by fw, and by no other node:")
			Expect(r).To(probes.Reach(inner).Through("fw"))
		}
	},
		Entry("for IPv4", false), Entry("for IPv6", true),
	)

	It("is through the node that forwards a port, to the one that answers", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		Expect(o.fw.Nft(`table inet nat { chain in { type nat hook prerouting priority -100; tcp dport 8080 dnat ip to 10.0.2.1:80; }; }`)).To(Succeed())
		Expect(o.client).To(probes.Reach(gateways[0], probes.TCP(8080).Within(soon)).AnsweredBy("server").Through("fw").
			TranslatedBy("fw", "tcp dport 8080 dnat ip to 10.0.2.1:80").WithContext(ctx))
	})
})

var _ = Describe("a check of a request's way", func() {
	It("has nothing to say of names that mean nobody, nor of what was not watched", func(ctx SpecContext) {
		o := up()
		for _, m := range []*probes.ReachMatcher{
			probes.Reach(o.server).Through("wf"), probes.Reach(o.server).TranslatedBy("wf"),
		} {
			noVerdict(m, o.client, `has no node "wf"; it has: client, server, fw`)
		}
		noVerdict(probes.Reach(o.server).Through(), o.client, "Through was given no name")
		noVerdict(probes.Reach(o.server).Through(""), o.client, "Through was given no name")
		noVerdict(probes.Reach(o.server).TranslatedBy(""), o.client, "TranslatedBy was given an empty name")
		noVerdict(probes.Reach(o.server).TranslatedBy("fw", ""), o.client, "TranslatedBy was given an empty name")
		bare, err := probes.Ask(ctx, o.client, o.server, web.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(bare).To(probes.Reach(o.server))
		noVerdict(probes.Reach(o.server).Through("fw"), bare, "it was not watched: ask with Watch")
		Expect(bare.Hops()).To(BeEmpty())
		Expect(bare.Hops().String()).To(HavePrefix("no hop is known"))
	})
})

var _ = Describe("what an interface's own rule sends on", func() {
	It("is led by no route", func(ctx SpecContext) {
		o := warm(ctx)
		Expect(o.fw.Nft(`table netdev d { chain in { type filter hook ingress device "lan" priority 0;
			udp dport 53 ether daddr set ` + link(o.server, "dmz").Attrs().HardwareAddr.String() + ` fwd to "dmz"; }; }`)).To(Succeed())
		before := o.countOf("fw Ip.ForwDatagrams")
		r, err := probes.Watch(ctx, o.client, server4, dns.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(o.countOf("fw Ip.ForwDatagrams")-before).To(BeNumerically("==", 1), "the answer alone was routed")
		hop := hopAt(r, evidence.Request, "fw")
		Expect(hop.Route).To(BeNil(), "%s", r.Hops())
		Expect(hop.Out).To(Equal("dmz"))
		Expect(hopAt(r, evidence.Answer, "fw").Route).NotTo(BeNil(), "%s", r.Hops())
	})
})
