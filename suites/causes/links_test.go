package causes_test

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

func link(node *harness.Node, name string) netlink.Link {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	return link
}

var _ = Describe("a link", func() {
	DescribeTable("that is down is named", func(ctx SpecContext, node func(office) *harness.Node, name string, leg evidence.Role) {
		o := up()
		at := node(o)
		kept := routesOf(at)
		Expect(at.Port(name).Down()).To(Succeed())
		results := broken(ctx, o.client, o.server, at.Name(), evidence.LinkDown, all...)
		Expect(results).To(HaveEach(And(HaveField("Cause.Interface", name), HaveField("Cause.Leg", leg))))
		Expect(link(at, name).Attrs().RawFlags&unix.IFF_UP).To(BeZero(), "the judge: the kernel's own flag")

		By("bringing it up, as the control")
		Expect(at.Port(name).Up()).To(Succeed())
		giveRoutes(at, kept)
		o.reaches(ctx, all...)
	},
		Entry("at the client", atClient, "lan", evidence.Request),
		Entry("at fw, on the client's side", atFw, "lan", evidence.Request),
		Entry("at fw, on the server's side", atFw, "dmz", evidence.Request),
		Entry("at the server", atServer, "dmz", evidence.Request),
	)

	It("that is down may have taken a route along, of which no plan knows", func(ctx SpecContext) {
		o := up()
		hidden := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("fd00:77::7")}
		var routes []netlink.Route
		for i, via := range []netip.Addr{server4, server6} {
			give(o.server, "lo", hostPrefix(hidden[i]).String())
			routes = append(routes, netlink.Route{Dst: prefix(hostPrefix(hidden[i]).String()), Gw: via.AsSlice()})
		}
		giveRoutes(o.fw, routes)
		for _, to := range hidden {
			Expect(o.client).To(probes.Reach(to, patient(all...)...).WithContext(ctx))
		}
		Expect(o.fw.Port("dmz").Down()).To(Succeed())
		for _, to := range hidden {
			inconclusive(ctx, o.client, to, "link dmz is down, and a route may have gone with it", all...)
		}

		By("having no route though the link is up, as the control")
		Expect(o.fw.Port("dmz").Up()).To(Succeed())
		for _, to := range hidden {
			broken(ctx, o.client, to, "fw", evidence.NoRoute, all...)
		}
		giveRoutes(o.fw, routes)
		for _, to := range hidden {
			Expect(o.client).To(probes.Reach(to, patient(all...)...).WithContext(ctx))
		}
	})

	It("of the loopback that is down is named", func(ctx SpecContext) {
		o := up()
		Expect(o.client.Netlink().LinkSetDown(link(o.client, "lo"))).To(Succeed())
		results := broken(ctx, o.client, o.client, "client", evidence.LinkDown, icmp)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", "lo")))

		By("bringing it up, as the control")
		Expect(o.client.Netlink().LinkSetUp(link(o.client, "lo"))).To(Succeed())
		Expect(o.client).To(probes.Reach(o.client, patient(icmp)...).WithContext(ctx))
	})
})
