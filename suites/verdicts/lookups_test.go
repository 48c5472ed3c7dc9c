package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// policed adds a policy routing rule for IPv4 at a node.
func policed(node *harness.Node, change func(*netlink.Rule)) {
	GinkgoHelper()
	rule := netlink.NewRule()
	rule.Family, rule.Priority = netlink.FAMILY_V4, 1000
	change(rule)
	Expect(node.Netlink().RuleAdd(rule)).To(Succeed())
}

const (
	toBlackhole, toUnreachable, toProhibit = 6, 7, 8 // FR_ACT_*, linux/fib_rules.h
	tcp, udp                               = 6, 17
)

func port(n uint16) *netlink.RulePortRange { return netlink.NewRulePortRange(n, n) }

var _ = Describe("a route is looked up as the packet is", func() {
	closed := func(late bool) *site {
		GinkgoHelper()
		s := planned()
		s.fw.Route(topo.Route{To: "10.0.9.1/32", Type: topo.Blackhole})
		s.up()
		if late {
			lateARP(s.node("site"), "wan", site4, 100*time.Millisecond)
		}
		fw := s.node("fw")
		route(fw, 100, "10.0.9.0/24", "wan", "")
		route(fw, 100, "10.0.1.0/24", "lan", "")
		policed(fw, func(r *netlink.Rule) { r.Table, r.IPProto, r.Dport = 100, tcp, port(80) })
		return s
	}
	for _, late := range []bool{false, true} {
		It(map[bool]string{false: "with its port", true: "with its port, where the neighbour is slow"}[late], func(ctx SpecContext) {
			s := closed(late)
			pc, site := s.node("pc"), s.node("site")
			heard := streams(site, 80, true)
			notIsolated(ctx, pc, site, web)
			Eventually(heard.accepted).Should(BeNumerically(">", 0))
			Expect(pc).To(probes.Reach(site, web).WithContext(ctx))
			Expect(pc).To(probes.BeIsolatedFrom(site, icmp, ssh).At("fw").Because(evidence.Blackhole).WithContext(ctx))
		})
	}

	DescribeTable("and a policy routing rule is named itself", func(ctx SpecContext, action uint8, kind evidence.Kind, word string) {
		s := planned().up()
		pc, site := s.node("pc"), s.node("site")
		// Which no lookup meets.
		Expect(s.node("fw").Netlink().RouteAdd(&netlink.Route{Table: 77, Type: 6, Dst: netlink.NewIPNet(site4.AsSlice())})).To(Succeed())
		policed(s.node("fw"), func(r *netlink.Rule) { r.Type, r.IPProto, r.Dport, r.Table = action, tcp, port(22), 0 })
		streams(site, 80, true)
		Expect(pc).To(probes.Reach(site, web).WithContext(ctx))
		result, err := probes.Watch(ctx, pc, site, ssh)
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(probes.BeIsolatedFrom(site).At("fw").Because(kind))
		Expect(result.Cause.String()).To(SatisfyAll(ContainSubstring("rule"), ContainSubstring("1000"), ContainSubstring(word)))
	},
		Entry("blackhole", uint8(toBlackhole), evidence.Blackhole, "blackhole"),
		Entry("unreachable", uint8(toUnreachable), evidence.Unreachable, "unreachable"),
		Entry("prohibit", uint8(toProhibit), evidence.Prohibit, "prohibit"),
	)
})

var _ = Describe("a mistake in the network is no policy", func() {
	It("a host used as a gateway", func(ctx SpecContext) {
		s := planned()
		s.network.Host("printer", s.lan)
		s.pc.NoRoutes().Route(topo.Route{To: "default", Via: "10.0.1.3"})
		s.up()
		for _, p := range []probes.Probe{icmp, ssh, echo} {
			notIsolated(ctx, s.node("pc"), s.node("site"), p, "printer")
		}
	})

	It("a route that leads back", func(ctx SpecContext) {
		s := planned()
		s.fw.Route(topo.Route{To: "10.0.9.1/32", Via: "10.0.1.1"})
		s.up()
		for _, p := range []probes.Probe{icmp, ssh, echo} {
			notIsolated(ctx, s.node("pc"), s.node("site"), p)
		}
	})

	It("a wrong gateway, which nobody has", func(ctx SpecContext) {
		s := planned()
		s.pc.NoRoutes().Route(topo.Route{To: "default", Via: "10.0.1.77"})
		s.up()
		for _, p := range []probes.Probe{icmp, ssh, echo} {
			notIsolated(ctx, s.node("pc"), s.node("site"), p)
		}
	})

	It("a route that a router lost", func(ctx SpecContext) {
		s := planned()
		far := s.network.Switch("far", "10.0.5.0/24")
		s.network.Host("server", far)
		s.network.Router("core", s.wan, far)
		s.up()
		fw := s.node("fw").Netlink()
		Expect(fw.RouteDel(&netlink.Route{Dst: mustCIDR("10.0.5.0/24")})).To(Succeed())
		for _, p := range []probes.Probe{icmp, ssh, echo} {
			notIsolated(ctx, s.node("pc"), s.node("server"), p)
		}
	})

	It("a route that the plan left out, as prefixes overlap", func(ctx SpecContext) {
		network := topo.New("overlapping")
		lan, wide, narrow := network.Switch("lan", "10.0.1.0/24"), network.Switch("wide", "10.8.0.0/16"), network.Switch("narrow", "10.8.5.0/24")
		network.Host("pc", lan)
		network.Host("server", narrow)
		network.Router("fw", lan, wide)
		network.Router("core", wide, narrow)
		s := (&site{network: network}).up()
		Expect(s.lab.Plan().Notes).NotTo(BeEmpty())
		for _, p := range []probes.Probe{icmp, ssh, echo} {
			notIsolated(ctx, s.node("pc"), s.node("server"), p)
		}
	})

	DescribeTable("an address that nobody has", func(ctx SpecContext, addr string) {
		s := planned().up()
		for _, matcher := range []OmegaMatcher{
			probes.BeIsolatedFrom(netip.MustParseAddr(addr), icmp).WithContext(ctx),
			probes.BeIsolatedFrom(netip.MustParseAddr(addr), ssh).WithContext(ctx),
			probes.Reach(netip.MustParseAddr(addr), icmp).WithContext(ctx),
		} {
			ok, err := matcher.Match(s.node("pc"))
			Expect(ok).To(BeFalse())
			Expect(err).To(MatchError(ContainSubstring(addr)))
		}
	},
		Entry("on the internet", "8.8.8.8"),
		Entry("a typo", "10.0.9.11"),
		Entry("a typo in the prefix", "10.0.8.1"),
	)

	It("and forwarding or routes whose absence was declared are policies", func(ctx SpecContext) {
		s := planned()
		far := s.network.Switch("far", "10.0.5.0/24")
		s.network.Host("server", far)
		s.network.Router("core", s.wan, far)
		s.fw.NoRoutes()
		s.pc.NoRoutes().Route(topo.Route{To: "default", Via: "10.0.1.2"})
		s.up()
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("server"), icmp).At("fw").Because(evidence.NoRoute).WithContext(ctx))

		By("taking forwarding away through the lab")
		t := planned().up()
		Expect(t.node("pc")).To(probes.Reach(t.node("site"), icmp).WithContext(ctx))
		Expect(t.node("fw").SetSysctl("net.ipv4.ip_forward", "0")).To(Succeed())
		Expect(t.node("pc")).To(probes.BeIsolatedFrom(t.node("site"), icmp, ssh).At("fw").Because(evidence.NoForward).WithContext(ctx))
	})
})
