package namespaces_test

import (
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("a pair into a network namespace", func() {
	It("has one end that disappears outside and appears inside", func() {
		outside, within := bear("outside"), bear("inside")
		outside.pair("near", "far")
		Expect(outside.links()).To(ConsistOf("lo", "near", "far"))
		Expect(within.links()).To(ConsistOf("lo"))
		Expect(outside.move("far", within)).To(Succeed())
		Expect(outside.links()).To(ConsistOf("lo", "near"))
		Expect(within.links()).To(ConsistOf("lo", "far"))
		By("moving it back")
		Expect(within.move("far", outside)).To(Succeed())
		Expect(outside.links()).To(ConsistOf("lo", "near", "far"))
		Expect(within.links()).To(ConsistOf("lo"))
	})

	It("is gone from both when one end is deleted", func() {
		outside, within := connected()
		Expect(outside.Netlink().LinkDel(outside.link("near"))).To(Succeed())
		Expect(outside.links()).To(ConsistOf("lo"))
		Expect(within.links()).To(ConsistOf("lo"))
	})

	DescribeTable("has addresses and routes of each namespace's own,", func(f family) {
		f.require()
		outside, within := connected()
		Expect(outside.addresses("near")).To(And(ContainElement(f.outside+f.bits), Not(ContainElement(f.within+f.bits))))
		Expect(within.addresses("far")).To(And(ContainElement(f.within+f.bits), Not(ContainElement(f.outside+f.bits))))
		Expect(within.routed(f.inNowhere)).To(MatchError(unix.ENETUNREACH))
		within.route(f.nowhere, "", "far")
		Expect(within.routed(f.inNowhere)).To(Succeed())
		Expect(outside.routed(f.inNowhere)).To(MatchError(unix.ENETUNREACH))
		By("adding it outside as well, as the control")
		outside.route(f.nowhere, "", "near")
		Expect(outside.routed(f.inNowhere)).To(Succeed())
	},
		Entry("in IPv4", v4),
		Entry("in IPv6", v6),
	)

	DescribeTable("answers a ping, both ways,", func(f family) {
		f.require()
		outside, within := connected()
		Expect(ask(outside, f.within, probes.ICMP()).Outcome).To(Equal(probes.Answered))
		Expect(ask(within, f.outside, probes.ICMP()).Outcome).To(Equal(probes.Answered))
		By("pulling it out, as what must not be answered")
		Expect(within.Netlink().LinkSetDown(within.link("far"))).To(Succeed())
		Expect(ask(within, f.outside, probes.ICMP().Within(quick))).To(unsent(unix.ENETUNREACH))
	},
		Entry("in IPv4", v4),
		Entry("in IPv6", v6),
	)

	DescribeTable("leads to another address of the first namespace only by a route,", func(f family) {
		f.require()
		outside, within := connected()
		outside.pair("other", "unused")
		outside.address("other", f.other+f.bits)
		outside.up("unused")
		outside.up("other")
		settled(outside, f.other)
		Expect(ask(within, f.other, probes.ICMP())).To(unsent(unix.ENETUNREACH))
		By("adding the route, as the control")
		within.route(f.others, f.outside, "")
		Expect(ask(within, f.other, probes.ICMP()).Outcome).To(Equal(probes.Answered))
	},
		Entry("in IPv4", v4),
		Entry("in IPv6", v6),
	)
})
