package attached_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	icmp  = probes.ICMP()
	web   = probes.TCP(80)
	ssh   = probes.TCP(22)
	echo  = probes.UDP(7)
	site4 = netip.MustParseAddr("10.0.9.1")
)

const noSSH = `table inet filter { chain forward { type filter hook forward priority 0; tcp dport 22 drop comment "no ssh"; }; }`

var _ = Describe("a lab of attached namespaces", func() {
	var t *tenants

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.NftTool)
		t = made()
	})

	It("reaches, across a bridge in a third and a router", func() {
		lab := t.attach()
		probes.Serve(GinkgoTB(), lab.Node("site"), web, echo)
		for _, from := range []string{"web", "db", "gw"} {
			Expect(lab.Node(from)).To(probes.Reach(lab.Node("site"), icmp, web, echo))
		}
		Expect(lab.Node("web")).To(probes.Reach(lab.Node("db"), icmp))
		Expect(lab.Node("web")).To(probes.Reach(lab.Node("host").On("br0"), icmp))
	})

	It("is surveyed, bare and watched", func(ctx SpecContext) {
		Expect(t.gw.Nft(`table inet filter { chain forward { type filter hook forward priority 0; ip protocol icmp drop; ip6 nexthdr icmpv6 drop; }; }`)).To(Succeed())
		lab := t.attach("gw")
		grid := probes.Grid{From: lab.Nodes(), To: []probes.Target{lab.Node("web"), lab.Node("db"), lab.Node("gw"), lab.Node("site")}, Watch: true}
		matrix, err := grid.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix).To(probes.MatchMatrix(`
			        web      db       gw       site
			web     .        ok       ok       drop@gw
			db      ok       .        ok       drop@gw
			host    ok       ok       ok       noroute@host
			gw      ok       ok       .        ok
			site    drop@gw  drop@gw  ok       .
		`))
	})

	It("names the rule, where a trace table is allowed, and leaves none", func() {
		Expect(t.gw.Nft(noSSH)).To(Succeed())
		lab := t.attach("gw")
		probes.Serve(GinkgoTB(), lab.Node("site"), ssh)
		Expect(lab.Node("web")).To(probes.BeIsolatedFrom(lab.Node("site"), ssh).At("gw").By("no ssh"))
		Expect(t.gw.tables()).To(ContainElement(HavePrefix("nstest-")))
		lab.Down()
		Expect(t.gw.tables()).To(Equal([]string{"inet", "filter"}))
	})

	It("has no verdict about rules that it may not trace, and touches none", func(ctx SpecContext) {
		Expect(t.gw.Nft(noSSH)).To(Succeed())
		lab := t.attach()
		probes.Serve(GinkgoTB(), lab.Node("site"), ssh)
		ok, err := probes.BeIsolatedFrom(lab.Node("site"), ssh).WithContext(ctx).Match(lab.Node("web"))
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(And(ContainSubstring("gw/lan"), ContainSubstring("it has rules of nftables, which are not traced: attach it with Traced"))))
		Expect(t.gw.tables()).To(Equal([]string{"inet", "filter"}))
	})

	DescribeTable("tells of the hops which rules let them pass", func(ctx SpecContext, rules OmegaMatcher, traced ...string) {
		Expect(t.gw.Nft(noSSH + `
			table ip nat { chain out { type nat hook postrouting priority 100; oifname "wan" masquerade comment "hide"; }; }`)).To(Succeed())
		lab := t.attach(traced...)
		r, err := probes.Watch(ctx, lab.Node("web"), site4, icmp)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Hops()).To(HaveLen(8), "with the host, which bridges")
		Expect(r.Hops()[2]).To(HaveField("Node", "gw"))
		Expect(r.Hops()[2].String()).To(rules)
		Expect(r).To(probes.Reach(site4, icmp).Through("host", "gw").TranslatedBy("gw"))
		ok, err := probes.Reach(site4, icmp).TranslatedBy("gw", "hide").Match(r)
		if len(traced) > 0 {
			Expect(ok, err).To(BeTrue())
			return
		}
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("by which rule gw translated the request is not known: its rules are not traced")))
	},
		Entry("where they are traced", And(ContainSubstring("accepted by policy accept of"), Not(ContainSubstring("not told"))), "gw"),
		Entry("and says where they are not", HaveSuffix("rules may have met it that are not told: its rules are not traced")),
	)

	It("takes no route that is missing for a policy, and a rule for one", func(ctx SpecContext) {
		lab := t.attach()
		nowhere := &netlink.Route{Dst: all4, Gw: netip.MustParseAddr("10.0.1.254").AsSlice()}
		Expect(t.web.Netlink().RouteDel(nowhere)).To(Succeed())
		ok, err := probes.BeIsolatedFrom(site4, icmp).WithContext(ctx).Match(lab.Node("web"))
		Expect(ok).To(BeFalse(), "a missing route isolates")
		Expect(err).To(MatchError(ContainSubstring("no route to 10.0.9.1")))

		Expect(t.web.Netlink().RouteAdd(nowhere)).To(Succeed())
		Expect(lab.Node("web")).To(probes.Reach(lab.Node("site").On("eth0"), icmp))
		rule := netlink.NewRule()
		rule.Dst, rule.Type, rule.Priority, rule.Family = cidr("10.0.9.0/24"), unix.RTN_PROHIBIT, 1000, unix.AF_INET
		Expect(t.gw.Netlink().RuleAdd(rule)).To(Succeed())
		Expect(lab.Node("web")).To(probes.BeIsolatedFrom(site4, icmp).At("gw"))
	})

	It("keeps two tenants apart that nothing joins, with one address", func() {
		twin, other := somebody("web2"), somebody("db2")
		cable(twin, "eth0", other, "eth0")
		twin.address("eth0", "10.0.1.1/24")
		other.address("eth0", "10.0.1.2/24")
		lab := attach([]*somebodys{t.web, t.db, t.host, twin, other})
		Expect(lab.Node("web")).To(probes.BeIsolatedFrom(lab.Node("db2"), icmp).Because("nopath"))
		Expect(lab.Node("web2")).To(probes.Reach(lab.Node("db2"), icmp))
		Expect(lab.Node("web2")).NotTo(BeNil())
	})

	It("asks what is outside, and takes a rule's end alone for isolation", func(ctx SpecContext) {
		Expect(t.gw.Nft(noSSH)).To(Succeed())
		lab := attach([]*somebodys{t.web, t.db, t.host, t.gw}, "gw") // and not the site
		Expect(lab.Node("web")).To(probes.Reach(site4, icmp))
		Expect(lab.Node("web")).To(probes.BeIsolatedFrom(site4, ssh).At("gw").By("no ssh"))
		ok, err := probes.BeIsolatedFrom(netip.MustParseAddr("10.0.9.77"), echo).WithContext(ctx).Match(lab.Node("web"))
		Expect(ok).To(BeFalse(), "nobody there isolates: %v", err)
	})
})
