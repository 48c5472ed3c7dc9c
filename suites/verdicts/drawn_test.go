package verdicts_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a source port that NAT picks by chance", func() {
	// natted is the office where fw translates what leaves it, and site has rules of its own.
	natted := func(nat, rules string) *site {
		GinkgoHelper()
		s := ruled(`table ip n { chain o { type nat hook postrouting priority 100; oifname "wan" meta l4proto { tcp, udp } ` + nat + `; }; }`)
		Expect(s.node("site").Nft(rules)).To(Succeed())
		return s
	}
	in := func(rule string) string {
		return `table inet z { chain c { type filter hook input priority 0; ` + rule + `; }; }`
	}
	// getsIn has datagrams from many ports be sent, of which one arrives: the judge.
	getsIn := func(pc *harness.Node, to netip.AddrPort, heard *service) {
		GinkgoHelper()
		for port := uint16(3000); len(plain(heard)) == 0 && port < 3060; port++ { // each has a chance
			sending{to: to, source: netip.AddrPortFrom(netip.MustParseAddr("10.0.1.1"), port)}.send(pc)
		}
		Eventually(func() []string { return plain(heard) }).WithTimeout(soon).ShouldNot(BeEmpty(), "the judge")
	}
	some := in(`udp sport 2000-2099 drop comment "most"`)

	DescribeTable("isolates nobody by a rule that tells such ports apart", func(ctx SpecContext, nat, rules string) {
		s := natted(nat, rules)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		for range 3 {
			Expect(holds(probes.BeIsolatedFrom(site, echo.Within(silence)).WithContext(ctx), pc)).To(BeFalse())
			Expect(holds(probes.BeIsolatedFrom(site, echo.FromPort(2003).Within(silence)).WithContext(ctx), pc)).To(BeFalse())
		}
		getsIn(pc, netip.AddrPortFrom(site4, 7), heard)
	},
		Entry("masquerade to a range", `masquerade to :2000-2199`, some),
		Entry("at random", `masquerade to :2000-2199 random`, some),
		Entry("fully at random", `masquerade to :2000-2199 fully-random`, some),
		Entry("snat to a range", `snat to 10.0.9.2:2000-2199`, some),
		Entry("snat by a map", `snat ip to ip saddr map { 10.0.1.1 : 10.0.9.2 . 2000-2199 }`, some),
		Entry("where a rule lets one in", `masquerade to :2000-2199 random`, in(`udp sport 2100-2199 accept; udp dport 7 drop`)),
		Entry("where a set has them", `masquerade to :2000-2199 random`, in(`udp sport { 2000, 2001, 2002-2099 } drop`)),
		Entry("where a mask has them", `masquerade to :2000-2199 random`, in(`udp sport & 1 == 0 drop`)),
		Entry("where it decides before the target's own", `masquerade to :2000-2199 random`, `table ip z { chain c { type filter hook prerouting priority -300; udp sport 2000-2099 drop; }; }`),
	)

	It("isolates nobody by a later chain of the node that picks it", func(ctx SpecContext) {
		s := ruled(`table ip n { chain o { type nat hook postrouting priority 100; oifname "wan" ip protocol udp masquerade to :2000-2199 random; }; }
			table ip z { chain c { type filter hook postrouting priority 200; oifname "wan" udp sport 2000-2099 drop; }; }`)
		heard := datagrams(s.node("site"), 7, -1)
		Expect(holds(probes.BeIsolatedFrom(s.node("site"), echo.Within(silence)).WithContext(ctx), s.node("pc"))).To(BeFalse())
		getsIn(s.node("pc"), netip.AddrPortFrom(site4, 7), heard)
	})

	DescribeTable("and by what iptables-nft has of it neither", func(ctx SpecContext, nat string) {
		harness.Require(GinkgoTB(), harness.IptablesTool)
		s := planned()
		s.fw.Iptables("*nat\n-A POSTROUTING -o wan -p udp " + nat + "\nCOMMIT\n")
		s.up()
		Expect(s.node("site").Nft(some)).To(Succeed())
		Expect(holds(probes.BeIsolatedFrom(s.node("site"), echo.Within(silence)).WithContext(ctx), s.node("pc"))).To(BeFalse())
	},
		Entry("MASQUERADE", "-j MASQUERADE --to-ports 2000-2199"),
		Entry("SNAT", "-j SNAT --to-source 10.0.9.2:2000-2199 --random"),
		Entry("fully at random", "-j MASQUERADE --to-ports 2000-2199 --random-fully"),
	)

	DescribeTable("isolates as ever where nothing tells those ports apart", func(ctx SpecContext, nat, rules string) {
		s := natted(nat, rules)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		Expect(pc).To(probes.BeIsolatedFrom(site, echo, ssh).At("site").By("all of it").WithContext(ctx))
		for port := uint16(3000); port < 3020; port++ {
			sending{to: netip.AddrPortFrom(site4, 7), source: netip.AddrPortFrom(netip.MustParseAddr("10.0.1.1"), port)}.send(pc)
		}
		Consistently(func() []string { return plain(heard) }).WithTimeout(silence).Should(BeEmpty(), "the judge")
	},
		Entry("by the destination port", `masquerade to :2000-2199 random`, in(`meta l4proto { tcp, udp } th dport { 7, 22 } drop comment "all of it"`)),
		Entry("at random of all", `masquerade random`, in(`meta l4proto { tcp, udp } drop comment "all of it"`)),
		Entry("by a range that has all of them", `masquerade to :2000-2199 random`, in(`th sport 2000-2200 drop comment "all of it"`)),
		Entry("by another rule's range that has none", `masquerade to :2000-2199 random`, in(`th sport 3000-3010 accept; meta l4proto { tcp, udp } drop comment "all of it"`)),
	)

	It("leaves nobody unanswered by a rule that tells apart where answers go", func(ctx SpecContext) {
		s := natted(`masquerade to :2000-2199 random`, `table inet z { chain c { type filter hook output priority 0; udp dport 2000-2099 drop; }; }`)
		pc, site := s.node("pc"), s.node("site")
		datagrams(site, 7, 0)
		for range 3 {
			Expect(holds(probes.BeUnansweredBy(site, echo.Within(silence)).WithContext(ctx), pc)).To(BeFalse())
		}
		back := 0
		for port := uint16(3000); back == 0 && port < 3060; port++ {
			if answered(ctx, pc, port, netip.AddrPortFrom(site4, 7)) {
				back++
			}
		}
		Expect(back).To(BeNumerically(">", 0), "the judge")
		Expect(site.Nft("flush ruleset; table inet z { chain c { type filter hook output priority 0; udp dport 2000-2199 drop; }; }")).To(Succeed())
		Expect(pc).To(probes.BeUnansweredBy(site, echo.Within(silence)).At("site").WithContext(ctx))
	})

	It("and a destination port that it picks of several is as open as each of them", func(ctx SpecContext) {
		s := ruled(`table ip n { chain p { type nat hook prerouting priority -100; ip daddr 203.0.113.1 udp dport 500 dnat to 10.0.9.1:50-59 random; };
			chain c { type filter hook forward priority 0; ct original ip daddr 10.0.9.1 drop; }; }`)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 53, -1)
		for range 3 {
			Expect(holds(probes.BeIsolatedFrom(site, probes.UDP(53).Within(silence)).WithContext(ctx), pc)).To(BeFalse())
		}
		getsIn(pc, netip.MustParseAddrPort("203.0.113.1:500"), heard)
	})
})
