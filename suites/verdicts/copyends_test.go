package verdicts_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// mirroring is the office in both families, where fw has rules, and is on the mirror as well,
// with ids, a router.
func mirroring(rules string) *site {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.IPv6)
	s := &site{network: topo.New("office")}
	s.lan, s.wan = s.network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), s.network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
	mirror := s.network.Switch("mirror", "10.0.7.0/24", "fd00:7::/64")
	s.pc, s.site = s.network.Host("pc", s.lan), s.network.Host("site", s.wan)
	s.fw = s.network.Router("fw", s.lan, s.wan, mirror.At("10.0.7.1", "fd00:7::1"))
	s.fw.Nft(rules)
	s.network.Router("ids", mirror.At("10.0.7.2", "fd00:7::2"))
	return s.up()
}

// flushed takes the addresses of a family from a node's interface.
func flushed(node *harness.Node, family, device string) {
	GinkgoHelper()
	out, err := node.Command("ip", family, "addr", "flush", "dev", device, "scope", "global").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}

var nobodysMAC = []byte{2, 0, 0, 0, 0x99, 0x99}

// copies of what comes from the lan, in both families.
const toIDS = `table ip m { chain c { type filter hook prerouting priority -300; iifname "lan" dup to 10.0.7.2 device "mirror"; }; }
	table ip6 m { chain c { type filter hook prerouting priority -300; iifname "lan" icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } dup to fd00:7::2 device "mirror"; }; }
	`

// chain drops at a hook.
func chain(hook, rule string) string {
	return "table inet z { chain c { type filter hook " + hook + " priority 0; " + rule + " meta l4proto { icmp, udp } counter drop; " + rule + " icmpv6 type echo-request counter drop; }; }"
}

var _ = Describe("a rule that ends a copy of a request is no policy where the request ended by a mistake", func() {
	// ends are what end the copy: rules at fw, and at ids.
	type ends struct{ fw, ids string }
	ways := map[string]ends{
		"in the copier's output chain":           {fw: chain("output", `oifname "mirror"`)},
		"in the copier's postrouting chain":      {fw: chain("postrouting", `oifname "mirror"`)},
		"in the forward chain of who got it":     {ids: chain("forward", "")},
		"in the prerouting chain of who got it":  {ids: chain("prerouting", "")},
		"at the interface of who got it":         {ids: `table netdev z { chain c { type filter hook ingress device "mirror" priority 0; udp dport 7 drop; icmp type echo-request drop; icmpv6 type echo-request drop; }; }`},
		"by a reject in the copier's own output": {fw: `table inet z { chain c { type filter hook output priority 0; oifname "mirror" reject with icmpx admin-prohibited; }; }`},
	}
	for how, end := range ways {
		DescribeTable(how, func(ctx SpecContext, v6 bool, mistake func(*site)) {
			s := mirroring(toIDS + end.fw)
			Expect(s.node("ids").Nft(end.ids)).To(Succeed())
			pc, site := s.node("pc"), s.node("site")
			heard := datagrams(site, 7, -1)
			to := site4
			if v6 {
				to = netip.MustParseAddr("fd00:9::1")
			}
			sending{to: netip.AddrPortFrom(to, 7)}.send(pc)
			Eventually(func() []string { return plain(heard) }).WithTimeout(soon).Should(HaveLen(1), "the control")
			mistake(s)
			for _, p := range []probes.Probe{echo.Within(silence), icmp.Within(silence)} {
				notIsolated(ctx, pc, to, p, "mistake")
			}
			Expect(plain(heard)).To(HaveLen(1), "the judge")
		},
			Entry("the target has lost its address", false, func(s *site) { flushed(s.node("site"), "-4", "wan") }),
			Entry("the target has lost its address, of IPv6", true, func(s *site) { flushed(s.node("site"), "-6", "wan") }),
			Entry("the asker has an address of its link alone", true, func(s *site) { flushed(s.node("pc"), "-6", "lan") }),
			Entry("the router has lost its address and its route", false, func(s *site) { flushed(s.node("fw"), "-4", "wan") }),
			Entry("the router's link is down", false, func(s *site) { Expect(s.node("fw").Port("wan").Down()).To(Succeed()) }),
			Entry("the target's link is down", false, func(s *site) { Expect(s.node("site").Port("wan").Down()).To(Succeed()) }),
			Entry("the router has a wrong MAC for it", false, func(s *site) {
				knows(s.node("fw"), "wan", "10.0.9.1", nobodysMAC)
			}),
		)
	}

	It("and a policy of its own stays one, whatever ends the copy", func(ctx SpecContext) {
		for how, end := range ways {
			s := mirroring(toIDS + end.fw + `
				table inet y { chain c { type filter hook forward priority 10; meta l4proto { icmp, udp } drop comment "no way"; }; }`)
			Expect(s.node("ids").Nft(end.ids)).To(Succeed())
			heard := datagrams(s.node("site"), 7, -1)
			Expect(s.node("pc")).To(probes.BeIsolatedFrom(site4, echo.Within(silence), icmp.Within(silence)).At("fw").By("no way").WithContext(ctx), how)
			Expect(heard.heard()).To(BeEmpty())
			flushed(s.node("ids"), "-4", "mirror") // the copy's own mistake is nobody's
			Expect(s.node("pc")).To(probes.BeIsolatedFrom(site4, echo.Within(silence)).At("fw").By("no way").WithContext(ctx), how)
		}
	})
})

var _ = Describe("a refusal of the request whose copy arrived", func() {
	It("is told by what refused it", func(ctx SpecContext) {
		s := ruled(`table ip m { chain c { type filter hook prerouting priority -300; iifname "lan" dup to 10.0.9.77 device "wan"; }; }`)
		pc, site, fw := s.node("pc"), s.node("site"), s.node("fw")
		add(site, "wan", "10.0.9.77/24")
		route(fw, 254, "10.0.9.77/32", "wan", "")
		out, err := fw.Command("ip", "route", "del", "10.0.9.0/24").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		heard := datagrams(site, 7, -1)
		sending{to: netip.AddrPortFrom(site4, 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(soon).Should(HaveLen(1), "the judge")
		for _, p := range []probes.Probe{echo, icmp} {
			result, err := probes.Watch(ctx, pc, site4, p)
			Expect(err).NotTo(HaveOccurred())
			Expect(result.Outcome).To(Equal(probes.Rejected), "%s", result)
			Expect(result.Cause.Kind).To(Equal(evidence.NoRoute), "%s: %s", result, result.Cause)
			notIsolated(ctx, pc, site, p)
		}
	})
})

var _ = Describe("a rule that ends a copy of an answer", func() {
	DescribeTable("is no policy where the answer ended by a mistake", func(ctx SpecContext, fw, ids string) {
		s := mirroring(`table ip m { chain c { type filter hook prerouting priority -300; iifname "wan" dup to 10.0.7.2 device "mirror"; }; }
			` + fw)
		Expect(s.node("ids").Nft(ids)).To(Succeed())
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		Expect(pc).To(probes.Reach(site4, echo, icmp).WithContext(ctx), "the control")
		knows(s.node("fw"), "lan", "10.0.1.1", nobodysMAC)
		had := len(heard.heard())
		for _, p := range []probes.Probe{echo.Within(silence), icmp.Within(silence)} {
			notIsolated(ctx, pc, site4, p)
			ok, err := probes.BeUnansweredBy(site4, p).WithContext(ctx).Match(pc)
			Expect(ok).To(BeFalse(), "unanswered")
			Expect(err).To(MatchError(ContainSubstring("addressed to another MAC")))
			Expect(pc).To(probes.BeUnansweredBy(site4, p).At("pc").Because(evidence.WrongMAC).WithContext(ctx))
		}
		Expect(len(heard.heard())).To(BeNumerically(">", had), "the judge")
	},
		Entry("in the copier's output chain", chain("output", `oifname "mirror"`), ""),
		Entry("in the forward chain of who got it", "", chain("forward", "")),
		Entry("and copies of its own are dropped as well", chain("output", `oifname "mirror"`), chain("prerouting", "")),
	)
})

var _ = Describe("a rule that ends frames for another host", func() {
	others := func(device string) string {
		return `table netdev z { chain c { type filter hook ingress device "` + device + `" priority 0; meta pkttype other counter drop; }; }`
	}

	DescribeTable("is no policy where a wrong MAC sent the request there", func(ctx SpecContext, wrong func(s *site), node string) {
		s := planned()
		s.network.Host("third", s.wan)
		s.up()
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		sending{to: netip.AddrPortFrom(site4, 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(soon).Should(HaveLen(1), "the control")
		for _, at := range []string{"site", "third"} {
			Expect(s.node(at).Nft(others("wan"))).To(Succeed())
		}
		Expect(s.node("fw").Nft(others("lan"))).To(Succeed())
		wrong(s)
		for _, p := range []probes.Probe{echo.Within(silence), icmp.Within(silence), ssh.Within(silence)} {
			notIsolated(ctx, pc, site, p, "looks like a mistake")
			Expect(pc).To(probes.BeIsolatedFrom(site, p).At(node).Because(evidence.WrongMAC).WithContext(ctx))
		}
		Expect(plain(heard)).To(HaveLen(1), "the judge")
	},
		Entry("by an entry with nobody's MAC at the router", func(s *site) { knows(s.node("fw"), "wan", "10.0.9.1", nobodysMAC) }, "site"),
		Entry("by an entry with nobody's MAC at the asker", func(s *site) { knows(s.node("pc"), "lan", "10.0.1.2", nobodysMAC) }, "fw"),
	)
})
