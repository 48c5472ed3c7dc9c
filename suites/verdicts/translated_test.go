package verdicts_test

import (
	"fmt"
	"net/netip"
	"strings"
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

	DescribeTable("whichever of many it is", func(ctx SpecContext, fw, to string) {
		s := ruled(fw)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		sending{to: netip.AddrPortFrom(netip.MustParseAddr(to), 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, site, echo, "close this way")
		Expect(holds(probes.BeIsolatedFrom(site).WithContext(ctx), pc)).To(BeFalse(), "without probes")
	},
		Entry("of a map of thirty", manyTo("10.0.9.1", 23), "203.0.113.23"),
		Entry("of a prefix whose first are closed", `table inet filter {
			chain pre { type nat hook prerouting priority -100; ip daddr 203.0.113.0/24 dnat ip to 10.0.9.1; };
			chain forward { type filter hook forward priority 0; ct original ip daddr { 10.0.9.1, 203.0.113.0-203.0.113.15 } drop comment "closed"; }; }`, "203.0.113.77"),
		Entry("of a range whose ends are closed", `table inet filter {
			chain pre { type nat hook prerouting priority -100; ip daddr 203.0.113.10-203.0.113.20 dnat ip to 10.0.9.1; };
			chain forward { type filter hook forward priority 0; ct original ip daddr { 10.0.9.1, 203.0.113.10, 203.0.113.20 } drop comment "closed"; }; }`, "203.0.113.15"),
	)

	It("and where all of many are closed, it holds", func(ctx SpecContext) {
		s := ruled(manyTo("10.0.9.1", 0))
		heard := datagrams(s.node("site"), 7, 0)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo, icmp).At("fw").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty(), "the judge")
	})

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
		Eventually(other.heard).ShouldNot(BeEmpty(), "192.0.2.8 is asked, and another's")
	})
})

var _ = Describe("an address of a router on the way is one by which the target is reached", func() {
	const policy = `table inet filter { chain forward { type filter hook forward priority 0; policy drop; iifname "wan" accept; ct status dnat accept; meta mark 7 accept; }; }`
	outside := netip.MustParseAddr("10.0.1.2")

	DescribeTable("where a port is forwarded", func(ctx SpecContext, fw string) {
		s := ruled(policy)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		Expect(pc).To(probes.BeIsolatedFrom(site, echo, icmp).At("fw").WithContext(ctx), "the control")
		Expect(s.node("fw").Nft(fw)).To(Succeed())
		sending{to: netip.AddrPortFrom(outside, 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).Should(HaveLen(1), "the judge")
		notIsolated(ctx, pc, site, echo, "10.0.1.2")
		Expect(holds(probes.BeIsolatedFrom(site).WithContext(ctx), pc)).To(BeFalse(), "without probes")
	},
		Entry("by its address and port", `table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.1.2 udp dport 7 dnat to 10.0.9.1; }; }`),
		Entry("by its address", `table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.1.2 dnat to 10.0.9.1; }; }`),
		Entry("by the interface", `table ip n { chain pre { type nat hook prerouting priority -100; iifname "lan" udp dport 7 dnat to 10.0.9.1:7; }; }`),
		Entry("by what is local", `table ip n { chain pre { type nat hook prerouting priority -100; fib daddr type local udp dport 7 dnat to 10.0.9.1; }; }`),
		Entry("by a map of ports", `table ip n { chain pre { type nat hook prerouting priority -100; iifname "lan" dnat to udp dport map { 7 : 10.0.9.1, 8 : 10.0.9.7 }; }; }`),
		Entry("by a jump", `table ip n { chain one { dnat to 10.0.9.1; }; chain pre { type nat hook prerouting priority -100; iifname "lan" udp dport 7 jump one; }; }`),
		Entry("without NAT", `table ip n { chain pre { type filter hook prerouting priority -400; ip daddr 10.0.1.2 udp dport 7 ip daddr set 10.0.9.1 meta mark set 7; }; }`),
	)

	It("also by iptables", func(ctx SpecContext) {
		s := ruled(policy)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		Expect(s.node("fw").Iptables("*nat\n:PREROUTING ACCEPT\n-A PREROUTING -i lan -p udp --dport 7 -j DNAT --to-destination 10.0.9.1:7\nCOMMIT\n")).To(Succeed())
		sending{to: netip.AddrPortFrom(outside, 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).Should(HaveLen(1), "the judge")
		notIsolated(ctx, pc, site, echo, "10.0.1.2")
	})

	It("and where it is forwarded to another, or answers by itself, it holds", func(ctx SpecContext) {
		s := planned()
		s.network.Host("other", s.wan)
		s.fw.Nft(policy + `
			table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.1.2 udp dport 7 dnat to 10.0.9.3; }; }`)
		s.up()
		heard := datagrams(s.node("site"), 7, -1)
		other := datagrams(s.node("other"), 7, 0)
		datagrams(s.node("fw"), 7, 0)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo, icmp).At("fw").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
		Eventually(other.heard).ShouldNot(BeEmpty(), "the router's address is asked, and another's")
	})
})

// manyTo are rules by which thirty addresses are others, and all of them closed but one.
func manyTo(target string, but int) string {
	var mapped []string
	dropped := []string{target}
	for i := 1; i <= 30; i++ {
		addr := fmt.Sprintf("203.0.113.%d", i)
		mapped = append(mapped, addr+" : "+target)
		if i != but {
			dropped = append(dropped, addr)
		}
	}
	return "table ip filter { chain pre { type nat hook prerouting priority -100; dnat to ip daddr map { " + strings.Join(mapped, ", ") + " }; }; " +
		"chain forward { type filter hook forward priority 0; ct original ip daddr { " + strings.Join(dropped, ", ") + " } drop; }; }"
}
