package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("an address that only a rule knows is one by which the target is reached", func() {
	const closed = `table inet filter { chain forward { type filter hook forward priority 0; iifname "lan" ct original ip daddr 10.0.9.1 drop comment "closed"; }; }`
	virtual := netip.MustParseAddr("192.0.2.9")

	DescribeTable("where it is", func(ctx SpecContext, fw, atSite string) {
		s := ruled(closed + "\n" + fw)
		pc, site := s.node("pc"), s.node("site")
		Expect(site.Nft(atSite)).To(Succeed())
		route(s.node("fw"), 0, "192.0.2.0/24", "wan", "10.0.9.1")
		heard := datagrams(site, 7, 0)
		sending{to: netip.AddrPortFrom(virtual, 7)}.send(pc)
		Eventually(heard.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, site, echo, "192.0.2.9")
		Expect(holds(probes.BeIsolatedFrom(site).WithContext(ctx), pc)).To(BeFalse(), "without probes")
	},
		Entry("translated at the target", ``, `table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.9 dnat to 10.0.9.1; }; }`),
		Entry("redirected at the target", ``, `table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.9 redirect; }; }`),
		Entry("of a set", ``, `table ip n { chain pre { type nat hook prerouting priority -100; ip daddr { 192.0.2.7, 192.0.2.9 } dnat to 10.0.9.1; }; }`),
		Entry("of a map", ``, `table ip n { chain pre { type nat hook prerouting priority -100; dnat to ip daddr map { 192.0.2.9 : 10.0.9.1, 192.0.2.10 : 10.0.9.7 }; }; }`),
		Entry("of a map with ports", ``, `table ip n { chain pre { type nat hook prerouting priority -100; dnat to ip daddr . udp dport map { 192.0.2.9 . 7 : 10.0.9.1 . 7 }; }; }`),
		Entry("with its source", ``, `table ip n { chain pre { type nat hook prerouting priority -100; ip saddr 10.0.1.1 ip daddr 192.0.2.9 dnat to 10.0.9.1; }; }`),
		Entry("of family inet", ``, `table inet n { chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.9 dnat ip to 10.0.9.1; }; }`),
		Entry("behind a jump", ``, `table ip n { chain one { udp dport 7 dnat to 10.0.9.1; }; chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.9 jump one; }; }`),
		Entry("by a mark", ``, `table ip n { chain first { type filter hook prerouting priority -150; ip daddr 192.0.2.9 meta mark set 3; }; chain pre { type nat hook prerouting priority -100; meta mark 3 dnat to 10.0.9.1; }; }`),
		Entry("by a map of chains", ``, `table ip n { chain one { dnat to 10.0.9.1; }; chain pre { type nat hook prerouting priority -100; ip daddr vmap { 192.0.2.9 : jump one }; }; }`),
		Entry("translated on the way", `table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.9 dnat to 10.0.9.1; }; }`, ``),
	)

	It("also by iptables", func(ctx SpecContext) {
		s := ruled(closed)
		pc, site := s.node("pc"), s.node("site")
		Expect(site.Iptables("*nat\n:PREROUTING ACCEPT\n-A PREROUTING -d 192.0.2.9/32 -p udp -j DNAT --to-destination 10.0.9.1\nCOMMIT\n")).To(Succeed())
		route(s.node("fw"), 0, "192.0.2.0/24", "wan", "10.0.9.1")
		heard := datagrams(site, 7, 0)
		sending{to: netip.AddrPortFrom(virtual, 7)}.send(pc)
		Eventually(heard.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, site, echo, "192.0.2.9")
	})

	It("and where that is closed too, or another's, it holds", func(ctx SpecContext) {
		s := planned()
		s.network.Host("other", s.wan)
		s.fw.Nft(`table inet filter { chain forward { type filter hook forward priority 0; ip daddr 10.0.9.1 drop comment "closed"; }; }
			table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.9 dnat to 10.0.9.1; ip daddr 192.0.2.8 dnat to 10.0.9.3; }; }`)
		s.up()
		heard := datagrams(s.node("site"), 7, 0)
		other := datagrams(s.node("other"), 7, 0)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo, icmp).At("fw").By("closed").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
		Expect(other.heard()).NotTo(BeEmpty(), "192.0.2.8 is asked, and another's")
	})
})
