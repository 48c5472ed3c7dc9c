package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var _ = Describe("a link without a carrier", func() {
	It("is named where the answer is to leave by it, and isolates nobody", func(ctx SpecContext) {
		o := warm(ctx)
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lonely"}, PeerName: "other"} // which stays down
		Expect(o.server.Netlink().LinkAdd(pair)).To(Succeed())
		Expect(o.server.Netlink().LinkSetUp(pair)).To(Succeed())
		for _, to := range []netip.Prefix{lan4, lan6} {
			Expect(o.server.Netlink().RouteAdd(&netlink.Route{Dst: prefix(to.String()), LinkIndex: link(o.server, "lonely").Attrs().Index, Priority: 1})).To(Succeed())
		}
		judge := echo(ctx, o.server, anywhere(7))
		for _, r := range watch(ctx, o.client, o.server, probes.UDP(7).Within(silence), icmp.Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NoCarrier), HaveField("Node", "server"), HaveField("Interface", "lonely"),
				HaveField("Leg", evidence.Answer), HaveField("Policy", false))), "%s", causeOf(r))
			Expect(r.Cause.String()).To(Equal("the request arrived; the answer was lost at server/lonely: the link has no carrier"))
			noVerdict(probes.BeUnansweredBy(o.server), r, "no policy isolates here", `Because("nocarrier")`)
		}
		Expect(judge.came()).To(BeNumerically(">=", 2), "the judge: what was sent was read")
		Expect(link(o.server, "lonely").Attrs().RawFlags&unix.IFF_LOWER_UP).To(BeZero(), "the judge: the kernel's own flag")

		By("taking it away, as the control")
		Expect(o.server.Netlink().LinkDel(pair)).To(Succeed())
		o.reaches(ctx, all...)
	})
})
