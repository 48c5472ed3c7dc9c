package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// pretend gives what the client sends another source.
func (o office) pretend(source netip.Addr) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	family := "ip"
	if source.Is6() {
		family = "ip6"
	}
	Expect(o.client.Nft("table " + family + ` pretend { chain out { type nat hook postrouting priority 100;
		oifname "lan" meta l4proto { tcp, udp } snat to ` + source.String() + `; }; }`)).To(Succeed())
}

var _ = Describe("a source", func() {
	It("to which another way leads is filtered strictly", func(ctx SpecContext) {
		o := warm(ctx)
		detour := &netlink.Route{Dst: prefix("10.0.1.1/32"), Gw: server4.AsSlice()}
		Expect(o.fw.Netlink().RouteAdd(detour)).To(Succeed())
		Expect(o.fw.SetSysctl("net.ipv4.conf.lan.rp_filter", "1")).To(Succeed())
		results := broken(ctx, o.client, server4, "fw", evidence.RPFilter, all...)
		Expect(results).To(onItsWay(evidence.Request))
		Expect(results).To(HaveEach(HaveField("Cause.Detail", "rp_filter=1, and the route back to 10.0.1.1 leaves by another interface")))

		By("leading the same way back, as the control")
		Expect(o.fw.Netlink().RouteDel(detour)).To(Succeed())
		o.reaches(ctx, all...)
	})

	It("to which no way leads is filtered loosely", func(ctx SpecContext) {
		o := warm(ctx)
		giveBack := takeRoutes(o.fw, lan4.String())
		Expect(o.fw.SetSysctl("net.ipv4.conf.all.rp_filter", "2")).To(Succeed())
		results := broken(ctx, o.client, server4, "fw", evidence.RPFilter, all...)
		Expect(results).To(onItsWay(evidence.Request))

		By("having a way back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	It("is filtered at the end of its way as well", func(ctx SpecContext) {
		o := warm(ctx)
		giveBack := takeRoutes(o.server, "0.0.0.0/0")
		Expect(o.server.SetSysctl("net.ipv4.conf.dmz.rp_filter", "1")).To(Succeed())
		broken(ctx, o.client, server4, "server", evidence.RPFilter, all...)

		By("having a way back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	DescribeTable("that nobody may have outside is named", func(ctx SpecContext, source, to netip.Addr, detail string) {
		o := warm(ctx)
		o.pretend(source)
		results := broken(ctx, o.client, to, "fw", evidence.Martian, web, dns)
		Expect(results).To(HaveEach(And(HaveField("Cause.Interface", "lan"), HaveField("Cause.Detail", detail))))

		lift(o.client)
		o.reaches(ctx, web, dns)
	},
		Entry("a loopback address of IPv4", netip.MustParseAddr("127.0.0.1"), server4, "127.0.0.1 is a loopback address"),
		Entry("a loopback address of IPv6", netip.MustParseAddr("::1"), server6, "::1 is a loopback address"),
		Entry("fw's own address", netip.MustParseAddr("10.0.1.2"), server4, "10.0.1.2 is the node's own address"),
		Entry("fw's own address on the other side", netip.MustParseAddr("10.0.2.2"), server4, "10.0.2.2 is the node's own address"),
	)
})
