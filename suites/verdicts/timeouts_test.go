package verdicts_test

import (
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what passes with time", func() {
	forward := func(set, rule string) string {
		return "table ip f { " + set + "; chain forward { type filter hook forward priority 0; iifname lan " + rule + "; }; }"
	}
	brief := probes.UDP(7).Within(silence)

	DescribeTable("isolates nobody for good", func(ctx SpecContext, set, rule, element string) {
		if strings.Contains(set, "* :") {
			harness.Require(GinkgoTB(), harness.Kernel(5, 13)) // what is for all that is in no element
		}
		s := ruled(forward(set, rule))
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		notIsolated(ctx, pc, site, brief, "set s", "timeout")
		notIsolated(ctx, pc, site4, brief, "set s", "timeout")
		Expect(heard.heard()).To(BeEmpty())
		Expect(pc).To(probes.BeIsolatedFrom(site4, brief.Within(soon)).Sampled(1).WithContext(ctx))
		Expect(s.node("fw").Nft("delete element ip f s { " + element + " }")).To(Succeed())
		Eventually(func() []string {
			says(pc, netip.AddrPort{}, netip.AddrPortFrom(site4, 7), 1, "x")
			return heard.heard()
		}, 9*time.Second, 100*time.Millisecond).Should(ContainElement("x"))
		Expect(probes.BeIsolatedFrom(site4, brief).WithContext(ctx).Match(pc)).To(BeFalse())
	},
		Entry("an address that is banned for a while", "set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1 timeout 1h }; }", "ip saddr @s drop", "10.0.1.1"),
		Entry("by the set's own timeout", "set s { type ipv4_addr; timeout 1h; elements = { 10.0.1.1 }; }", "ip saddr @s drop", "10.0.1.1"),
		Entry("a range", "set s { type ipv4_addr; flags interval, timeout; elements = { 10.0.1.0/24 timeout 1h }; }", "ip saddr @s drop", "10.0.1.0/24"),
		Entry("a verdict map", "map s { type ipv4_addr : verdict; flags timeout; elements = { 10.0.1.1 timeout 1h : drop }; }", "ip saddr vmap @s", "10.0.1.1"),
		Entry("a verdict map that lets in the rest", "map s { type ipv4_addr : verdict; flags timeout; elements = { 10.0.1.1 timeout 1h : drop, * : accept }; }", "ip saddr vmap @s", "10.0.1.1"),
		Entry("a map of marks", "map s { type ipv4_addr : mark; flags timeout; elements = { 10.0.1.1 timeout 1h : 7 }; }", "meta mark set ip saddr map @s; meta mark 7 drop", "10.0.1.1"),
		Entry("a concatenation", "set s { type ipv4_addr . inet_service; flags timeout; elements = { 10.0.1.1 . 7 timeout 1h }; }", "ip saddr . udp dport @s drop", "10.0.1.1 . 7"),
		Entry("behind a jump", "chain x { drop; }; set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1 timeout 1h }; }", "ip saddr @s jump x", "10.0.1.1"),
		Entry("where the rest is let in", "chain x { ip saddr != @s accept; drop; }; set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1 timeout 1h }; }", "jump x", "10.0.1.1"),
	)

	DescribeTable("does not matter where it changes nothing", func(ctx SpecContext, set, rule string) {
		s := ruled(forward(set, rule))
		heard := datagrams(s.node("site"), 7, -1)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), brief.Within(soon)).At("fw").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
	},
		Entry("as the rest is dropped too", "set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1 timeout 9s }; }", "ip saddr @s drop; drop"),
		Entry("as others time out", "set s { type ipv4_addr; flags timeout; elements = { 10.0.1.77 timeout 9s }; }", "ip saddr @s accept; drop"),
		Entry("as this one does not", "set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1, 10.0.1.77 timeout 9s }; }", "ip saddr @s drop"),
		Entry("as this one of a map does not", "map s { type ipv4_addr : verdict; flags timeout; elements = { 10.0.1.1 : drop, 10.0.1.77 timeout 9s : accept }; }", "ip saddr vmap @s"),
		Entry("as it is only counted", "set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1 timeout 9s }; }", "ip saddr @s counter; drop"),
	)

	It("isolates once it has passed", func(ctx SpecContext) {
		s := ruled("table ip f { set s { type ipv4_addr; flags timeout; elements = { 10.0.1.1 timeout 1h }; }; " +
			"chain forward { type filter hook forward priority 0; policy drop; ip saddr @s accept; }; }")
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		Expect(holds(probes.BeIsolatedFrom(site, brief).WithContext(ctx), pc)).To(BeFalse())
		Eventually(heard.heard).ShouldNot(BeEmpty())
		Expect(s.node("fw").Nft("delete element ip f s { 10.0.1.1 }\nadd element ip f s { 10.0.1.1 timeout 1s }")).To(Succeed())
		Eventually(probes.Watch, 9*time.Second).WithContext(ctx).WithArguments(pc, site4, brief).Should(probes.BeIsolatedFrom(site4).At("fw"))
		Expect(pc).To(probes.BeIsolatedFrom(site, brief.Within(soon)).At("fw").WithContext(ctx))
	})
})
