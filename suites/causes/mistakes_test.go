package causes_test

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// offices is the office, in which the client has another gateway, and fw another way
// to the dmz: both may be mistakes.
func offices(change func(client, printer, fw *topo.Node)) *harness.Lab {
	GinkgoHelper()
	network := topo.New("office")
	lan, dmz := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	client, printer := network.Host("client", lan.At("10.0.1.1", "fd00:1::1")), network.Host("printer", lan.At("10.0.1.9", "fd00:1::9"))
	network.Host("server", dmz.At("10.0.2.1", "fd00:2::1"))
	change(client, printer, network.Router("fw", lan.At("10.0.1.2", "fd00:1::2"), dmz))
	lab := harness.Up(GinkgoTB(), network)
	probes.Serve(GinkgoTB(), lab.Node("server"), web, dns)
	return lab
}

var _ = Describe("a mistake isolates nothing:", func() {
	It("a host that is taken for a gateway", func(ctx SpecContext) {
		lab := offices(func(client, _, _ *topo.Node) {
			client.NoRoutes().Route(topo.Route{Via: "10.0.1.9"}, topo.Route{Via: "fd00:1::9"})
		})
		before := kernelCounts(lab.Node("printer"))["Ip.InAddrErrors"]
		for _, r := range broken(ctx, lab.Node("client"), lab.Node("server"), "printer", evidence.NotRouter, all...) {
			Expect(r.Cause.String()).To(Equal("the request was not forwarded at printer/lan: printer is a host, not a router: check the routes of client"))
		}
		Expect(kernelCounts(lab.Node("printer"))["Ip.InAddrErrors"]).To(BeNumerically(">", before), "the judge: the kernel's own count")

		By("making a router of it, as the control")
		Expect(lab.Node("printer").SetSysctl("net.ipv4.ip_forward", "1")).To(Succeed())
		giveRoutes(lab.Node("printer"), []netlink.Route{{Dst: prefix(dmz4.String()), Gw: gateways[0].AsSlice()}})
		Expect(lab.Node("client")).To(probes.Reach(server4, patient(all...)...).WithContext(ctx))
	})

	It("a host that was told to forward is a router, and what it is told then counts", func(ctx SpecContext) {
		lab := offices(func(client, printer, _ *topo.Node) {
			client.NoRoutes().Route(topo.Route{Via: "10.0.1.9"})
			printer.Sysctl("net.ipv4.ip_forward", "1")
			// Which the printer sends, as fw is on the client's own link.
			client.Sysctl("net.ipv4.conf.all.accept_redirects", "0").Sysctl("net.ipv4.conf.lan.accept_redirects", "0")
		})
		Expect(lab.Node("client")).To(probes.Reach(server4, patient(all...)...).WithContext(ctx))
		Expect(lab.Node("printer").SetSysctl("net.ipv4.ip_forward", "0")).To(Succeed())
		isolated(ctx, lab.Node("client"), server4, "printer", evidence.NoForward, "", all...)
	})

	It("a route that leads back to the asker", func(ctx SpecContext) {
		lab := offices(func(_, _, fw *topo.Node) {
			fw.Route(topo.Route{To: "10.0.2.1/32", Via: "10.0.1.1"}, topo.Route{To: "fd00:2::1/128", Via: "fd00:1::1"})
		})
		fw := lab.Node("fw")
		for _, r := range broken(ctx, lab.Node("client"), lab.Node("server"), "fw", evidence.Loop, all...) {
			Expect(r.Cause.String()).To(Equal(fmt.Sprintf(
				"the request was sent back at fw/lan: its route to %s leads back to client, where the packet came from", r.Addr)))
		}

		By("taking it away, as the control")
		takeRoutes(fw, "10.0.2.1/32", "fd00:2::1/128")
		Expect(lab.Node("client")).To(probes.Reach(lab.Node("server"), patient(all...)...).WithContext(ctx))
	})

	It("two routers that send it to each other", func(ctx SpecContext) {
		network := topo.New("round")
		lan, core := network.Wire("lan", "10.0.1.0/24"), network.Wire("core", "10.0.5.0/24")
		network.Host("client", lan.At("10.0.1.1"))
		network.Router("near", lan.At("10.0.1.2"), core.At("10.0.5.1")).Route(topo.Route{To: "10.9.0.0/16", Via: "10.0.5.2"})
		far := network.Router("far", core.At("10.0.5.2")).Route(topo.Route{Via: "10.0.5.1"})
		far.Loopback("10.9.0.1/32")
		lab := harness.Up(GinkgoTB(), network)
		Expect(lab.Node("client")).To(probes.Reach(lab.Node("far"), patient(icmp)...).WithContext(ctx))
		lo, err := netlink.ParseAddr("10.9.0.1/32")
		Expect(err).NotTo(HaveOccurred())
		Expect(lab.Node("far").Netlink().AddrDel(link(lab.Node("far"), "lo"), lo)).To(Succeed())
		for _, r := range watch(ctx, lab.Node("client"), netip.MustParseAddr("10.9.0.1"), icmp.Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Policy", false), HaveField("Kind", evidence.Loop), HaveField("Node", "far"))), "%s", r.Timeline)
		}
	})

	It("an asker that lost its address, and sends from a link-local one", func(ctx SpecContext) {
		o := up()
		take(o.client, "lan", "fd00:1::1/64")
		for _, r := range broken(ctx, o.client, server6, "client", evidence.NoAddress, all...) {
			Expect(r.Cause.Detail).To(HavePrefix("it does not have fd00:1::1/64"))
		}

		By("giving it back, as the control")
		give(o.client, "lan", "fd00:1::1/64")
		o.reaches(ctx, all...)
	})

	It("forwarding that a program turned off", func(ctx SpecContext) {
		o := up()
		Expect(o.fw.Command("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward").Run()).To(Succeed())
		broken(ctx, o.client, server4, "fw", evidence.NoForward, all...)

		By("turning it off through the lab")
		Expect(o.fw.SetSysctl("net.ipv4.ip_forward", "0")).To(Succeed())
		isolated(ctx, o.client, server4, "fw", evidence.NoForward, "net.ipv4.ip_forward=0", all...)
	})

	It("a route that the plan left out, as prefixes overlap", func(ctx SpecContext) {
		network := topo.New("overlap")
		lan, one, two := network.Wire("lan", "10.0.1.0/24"), network.Wire("one", "10.0.2.0/24"), network.Wire("two", "10.0.2.0/24")
		between := network.Wire("between", "10.0.3.0/24")
		network.Host("client", lan)
		network.Router("fw", lan, between)
		network.Router("back", between, one, two)
		network.Host("server", one.At("10.0.2.80"))
		network.Host("other", two.At("10.0.2.81"))
		lab := harness.Up(GinkgoTB(), network)
		Expect(lab.Plan().Notes).NotTo(BeEmpty(), "the control: the plan left a route out")
		broken(ctx, lab.Node("client"), lab.Node("server"), "client", evidence.NoRoute, icmp)
	})

	It("and routes that nobody was to have are none", func(ctx SpecContext) {
		lab := offices(func(_, _, fw *topo.Node) { fw.Nft(`table inet t { }`) })
		giveBack := delRoutes(lab.Node("client"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
		for _, r := range isolated(ctx, lab.Node("client"), lab.Node("server"), "client", evidence.NoRoute, "", all...) {
			Expect(r.Outcome).To(Equal(probes.Unsent))
		}
		giveBack()
		Expect(lab.Node("client")).To(probes.Reach(lab.Node("server"), patient(all...)...).WithContext(ctx))
	})
})
