package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// routeMTU gives fw's routes to the dmz an MTU; take takes them away again.
func (o office) routeMTU(bytes int, lock bool) (take func()) {
	GinkgoHelper()
	var routes []*netlink.Route
	for _, to := range []string{"10.0.2.1/32", "fd00:2::1/128"} {
		r := &netlink.Route{Dst: prefix(to), LinkIndex: link(o.fw, "dmz").Attrs().Index, MTU: bytes, MTULock: lock}
		if r.Dst.IP.To4() != nil {
			r.Scope = netlink.SCOPE_LINK
		}
		Expect(o.fw.Netlink().RouteAdd(r)).To(Succeed())
		routes = append(routes, r)
	}
	return func() {
		GinkgoHelper()
		for _, r := range routes {
			Expect(o.fw.Netlink().RouteDel(r)).To(Succeed())
		}
	}
}

var _ = Describe("a packet that is too large", func() {
	DescribeTable("for a route is named, with the route", func(ctx SpecContext, lock bool) {
		o := up()
		take := o.routeMTU(1300, lock)
		results := broken(ctx, o.client, o.server, "fw", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Rejected), HaveField("By", "fw"), HaveField("Cause.Interface", "dmz"))))
		Expect(results).To(HaveEach(HaveField("ICMP.Info", 1300)), "the judge: what the kernel says that the way takes")
		for _, r := range results {
			to := hostPrefix(r.Addr).String()
			Expect(r.Cause.Detail).To(HaveSuffix(" bytes, and the route to " + to + " takes 1300"))
		}

		By("asking with smaller ones, and then by the link alone, as the control")
		o.reaches(ctx, all...)
		take()
		o.reaches(ctx, large...)
	},
		Entry("as it is", false),
		Entry("with a lock", true),
	)

	DescribeTable("and of which nobody hears is named with the rule that keeps it from its sender", func(ctx SpecContext, at func(office) *harness.Node, hook string) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := warm(ctx)
		grow := shrink("dmz", o.fw, o.server)
		Expect(at(o).Nft(`table inet hole { chain c { type filter hook ` + hook + ` priority 0;
			icmp type destination-unreachable counter drop comment "no ICMP"; icmpv6 type packet-too-big counter drop comment "no ICMP"; }; }`)).To(Succeed())
		for _, p := range large {
			results := broken(ctx, o.client, o.server, "fw", evidence.MTU, p)
			Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Silent), HaveField("Cause.Interface", "dmz"))))
			for _, r := range results {
				Expect(r.Cause.Detail).To(And(ContainSubstring("and the link takes 1280; the ICMP error that says so was dropped at "+at(o).Name()+" by rule"), ContainSubstring("no ICMP")))
			}
		}
		Expect(countedBy(at(o))).To(BeNumerically(">=", 4), "the judge: the rules' own counts")

		By("letting it hear, as the control")
		Expect(at(o).Nft("flush ruleset")).To(Succeed())
		results := broken(ctx, o.client, o.server, "fw", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Rejected), HaveField("Cause.Detail", Not(ContainSubstring("ICMP"))))))
		grow()
		o.reaches(ctx, large...)
	},
		Entry("as it is sent", atFw, "output"),
		Entry("as it comes to the sender", atClient, "input"),
		Entry("before it is routed there", atClient, "prerouting"),
	)
})
