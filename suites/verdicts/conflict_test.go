package verdicts_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// knows gives a node a permanent neighbour entry.
func knows(node *harness.Node, device, addr string, mac []byte) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: unix.NUD_PERMANENT, IP: mustCIDR(addr + "/32").IP, HardwareAddr: mac,
	})).To(Succeed())
}

var _ = Describe("another node that took the packet", func() {
	twins := func(rules string, also bool) *site {
		GinkgoHelper()
		s := planned()
		s.network.Host("evil", s.wan)
		s.up()
		says(s.node("evil"), netip.AddrPort{}, netip.MustParseAddrPort("10.0.9.2:9"), 1, "here I am") // that switches know its MAC
		if also {
			add(s.node("evil"), "wan", "10.0.9.1/24")
		}
		knows(s.node("fw"), "wan", "10.0.9.1", mac(s.node("evil"), "wan"))
		Expect(s.node("evil").Nft(rules)).To(Succeed())
		return s
	}

	DescribeTable("with the address that was asked, on the same link, is no policy but a conflict", func(ctx SpecContext, rules string) {
		s := twins(rules, true)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		for _, p := range []probes.Probe{echo, icmp, ssh} {
			notIsolated(ctx, pc, site, p, "evil has 10.0.9.1 as well")
			notIsolated(ctx, pc, site4, p, "evil has 10.0.9.1 as well")
			Expect(pc).To(probes.BeIsolatedFrom(site, p).At("evil").Because(evidence.Conflict).WithContext(ctx))
		}
		Expect(heard.heard()).To(BeEmpty())
		knows(s.node("fw"), "wan", "10.0.9.1", mac(site, "wan"))
		Expect(pc).To(probes.Reach(site, echo).WithContext(ctx))
		Eventually(heard.heard).ShouldNot(BeEmpty())
	},
		Entry("by its input's policy", `table inet f { chain c { type filter hook input priority 0; policy drop; }; }`),
		Entry("by a rule before routing", `table inet f { chain c { type filter hook prerouting priority -300; ip daddr 10.0.9.1 drop; }; }`),
		Entry("by a rule at its interface", `table netdev f { chain c { type filter hook ingress device "wan" priority 0; ip daddr 10.0.9.1 drop; }; }`),
		Entry("by a rejecting rule", `table inet f { chain c { type filter hook input priority 0; ip daddr 10.0.9.1 reject; }; }`),
	)

	DescribeTable("may have it by a route of type local", func(ctx SpecContext, at string) {
		s := planned().up()
		pc, site, taker := s.node("pc"), s.node("site"), s.node(at)
		heard := datagrams(site, 7, 0)
		sending{to: netip.AddrPortFrom(site4, 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(soon).Should(HaveLen(1), "the control")
		Expect(taker.Nft(`table ip f { chain c { type filter hook input priority 0; policy drop; }; }`)).To(Succeed())
		out, err := taker.Command("ip", "route", "add", "local", "10.0.9.1/32", "dev", "lo").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		notIsolated(ctx, pc, site, echo, at+" takes packets to 10.0.9.1 as well", "looks like a mistake")
		Expect(pc).To(probes.BeIsolatedFrom(site, echo).At(at).Because(evidence.Conflict).WithContext(ctx))
		Expect(plain(heard)).To(HaveLen(1), "the judge")
	},
		Entry("the router", "fw"),
		Entry("the asker itself", "pc"),
	)

	It("may have it by a route of type broadcast, and no rules", func(ctx SpecContext) {
		s := planned().up()
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		sending{to: netip.AddrPortFrom(site4, 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(soon).Should(HaveLen(1), "the control")
		out, err := s.node("fw").Command("ip", "route", "add", "broadcast", "10.0.9.1/32", "dev", "wan").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		for _, p := range []probes.Probe{echo.Within(silence), icmp.Within(silence)} {
			notIsolated(ctx, pc, site, p, "fw takes packets to 10.0.9.1 by a route of type broadcast", "looks like a mistake")
			Expect(pc).To(probes.BeIsolatedFrom(site, p).At("fw").Because(evidence.Conflict).WithContext(ctx))
		}
		sending{to: netip.AddrPortFrom(site4, 7)}.send(pc)
		Consistently(func() []string { return plain(heard) }).WithTimeout(silence).Should(HaveLen(1), "the judge")
	})

	It("has no conflict by an address of its own that rules make another's", func(ctx SpecContext) {
		s := ruled(`table ip f { chain pre { type nat hook prerouting priority -100; udp dport 7 redirect; };
			chain in { type filter hook input priority 0; policy drop; }; chain out { type filter hook forward priority 0; policy drop; }; }`)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), icmp).At("fw").WithContext(ctx))
		result, err := probes.Watch(ctx, s.node("pc"), s.node("fw").On("lan"), echo.Within(silence))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause).To(HaveField("Kind", evidence.Drop), "%s", result.Cause)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo).At("fw").WithContext(ctx))
	})

	It("may be the router on the way", func(ctx SpecContext) {
		s := planned().up()
		add(s.node("fw"), "wan", "10.0.9.1/32")
		Expect(s.node("fw").Nft(`table inet f { chain c { type filter hook input priority 0; iifname "lan" drop; }; }`)).To(Succeed())
		heard := datagrams(s.node("site"), 7, 0)
		for _, p := range []probes.Probe{echo, icmp, ssh} {
			notIsolated(ctx, s.node("pc"), s.node("site"), p, "fw has 10.0.9.1 as well")
		}
		says(s.node("pc"), netip.AddrPort{}, netip.AddrPortFrom(site4, 7), 9, "x")
		Expect(heard.heard()).To(BeEmpty())
	})

	It("without it is none either", func(ctx SpecContext) {
		s := twins(`table inet f { chain c { type filter hook prerouting priority -300; ip daddr 10.0.9.1 drop; }; }`, false)
		heard := datagrams(s.node("site"), 7, 0)
		for _, p := range []probes.Probe{echo, icmp, ssh} {
			notIsolated(ctx, s.node("pc"), s.node("site"), p, "evil")
		}
		knows(s.node("fw"), "wan", "10.0.9.1", mac(s.node("site"), "wan"))
		Expect(s.node("pc")).To(probes.Reach(s.node("site"), echo).WithContext(ctx))
		Eventually(heard.heard).ShouldNot(BeEmpty())
	})

	It("may have taken the answer", func(ctx SpecContext) {
		s := planned()
		s.network.Host("evil", s.lan)
		s.up()
		pc, fw, evil := s.node("pc"), s.node("fw"), s.node("evil")
		add(evil, "lan", "10.0.1.1/24")
		knows(fw, "lan", "10.0.1.1", mac(evil, "lan"))
		says(evil, netip.AddrPort{}, netip.MustParseAddrPort("10.0.1.2:9"), 1, "here I am") // that switches know its MAC
		Expect(evil.Nft(`table inet f { chain c { type filter hook input priority 0; policy drop; }; }`)).To(Succeed())
		heard := datagrams(s.node("site"), 7, 0)
		streams(s.node("site"), 80, true)
		Expect(holds(probes.BeUnansweredBy(s.node("site"), echo).WithContext(ctx), pc)).To(BeFalse())
		for _, p := range []probes.Probe{icmp, web} { // whose answers are known by themselves
			ok, err := probes.BeUnansweredBy(s.node("site"), p).WithContext(ctx).Match(pc)
			Expect(ok).To(BeFalse(), "unanswered")
			Expect(err).To(MatchError(ContainSubstring("evil has 10.0.1.1 as well")))
		}
		Eventually(heard.heard).ShouldNot(BeEmpty())
	})
})
