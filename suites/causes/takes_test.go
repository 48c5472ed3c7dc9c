package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var _ = Describe("what a kernel takes for its own", func() {
	other := netip.MustParseAddr("192.0.2.9")

	// local makes 192.0.2.9 a node's own, and leads fw there.
	DescribeTable("is asked as well, though it is no address of the target's links", func(ctx SpecContext, local func(node *harness.Node)) {
		o := up()
		Expect(o.fw.Netlink().RouteAdd(&netlink.Route{Dst: prefix("192.0.2.9/32"), Gw: server4.AsSlice()})).To(Succeed())
		Expect(o.fw.Nft(`table ip f { chain c { type filter hook forward priority 0; ip daddr 10.0.2.1 drop; }; }`)).To(Succeed())
		heard := heardAt(ctx, o.server, 9)
		Expect(o.client).To(probes.BeIsolatedFrom(server4, probes.UDP(9)).WithContext(ctx))
		local(o.server)
		noVerdict(probes.BeIsolatedFrom(o.server, probes.UDP(9).Within(silence/100)).WithContext(ctx), o.client, "192.0.2.9")
		Expect(heard).To(Receive())
		conn := dial(ctx, o.client, "udp", other, 9)
		_, err := conn.Write([]byte("plain"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(heard).Should(Receive(HaveSuffix("plain")))
	},
		Entry("an address of host scope", func(node *harness.Node) {
			lo := link(node, "lo")
			Expect(node.Netlink().AddrAdd(lo, &netlink.Addr{IPNet: prefix("192.0.2.9/32"), Scope: unix.RT_SCOPE_HOST})).To(Succeed())
		}),
		Entry("a route of type local", func(node *harness.Node) {
			Expect(node.Netlink().RouteAdd(&netlink.Route{
				Dst: prefix("192.0.2.9/32"), LinkIndex: link(node, "lo").Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST,
			})).To(Succeed())
		}),
	)

	It("is what the asker may ask from", func(ctx SpecContext) {
		o := up()
		Expect(o.fw.Nft(`table ip f { chain c { type filter hook forward priority 0; ip saddr 10.0.1.0/24 drop; }; }`)).To(Succeed())
		Expect(o.client).To(probes.BeIsolatedFrom(server4, dns).WithContext(ctx))
		Expect(o.fw.Netlink().RouteAdd(&netlink.Route{Dst: prefix("192.0.2.0/24"), Gw: client4.AsSlice()})).To(Succeed())
		Expect(o.client.Netlink().RouteAdd(&netlink.Route{
			Dst: prefix("192.0.2.0/24"), LinkIndex: link(o.client, "lo").Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST,
		})).To(Succeed())
		noVerdict(probes.BeIsolatedFrom(server4, dns).WithContext(ctx), o.client, "asked from 192.0.2.1", "was reached")
	})
})

var _ = Describe("a check without probes", func() {
	It("reads the rules of those by whom the kernels' routes lead", func(ctx SpecContext) {
		network := topo.New("ways")
		lan, wan := network.Switch("lan", lan4.String()), network.Switch("wan", dmz4.String())
		network.Host("client", lan)
		network.Host("server", wan.At("10.0.2.1"))
		network.Router("fw", lan, wan)
		network.Router("other", lan.At("10.0.1.9"), wan.At("10.0.2.9"))
		lab := harness.Up(GinkgoTB(), network)
		client, other := lab.Node("client"), lab.Node("other")
		Expect(other.Nft(`table inet f { chain c { type filter hook forward priority 0; policy drop; }; }`)).To(Succeed())
		Expect(client.Netlink().RouteReplace(&netlink.Route{Dst: prefix(dmz4.String()), Gw: netip.MustParseAddr("10.0.1.9").AsSlice()})).To(Succeed())
		Expect(client).To(probes.BeIsolatedFrom(lab.Node("server")).At("other").WithContext(ctx))
		Expect(other.Nft("add rule inet f c tcp dport 8443 accept")).To(Succeed())
		noVerdict(probes.BeIsolatedFrom(lab.Node("server")).WithContext(ctx), client, "tcp/8443")
	})
})

var _ = Describe("an answer that dies where another took the request", func() {
	It("is none of the target's", func(ctx SpecContext) {
		o := up()
		Expect(o.fw.Nft(`table ip n { chain p { type nat hook prerouting priority -100; tcp dport 80 redirect to :3128; }; }
			table ip f { chain c { type filter hook postrouting priority 0; ip daddr ` + client4.String() + ` drop; }; }`)).To(Succeed())
		DeferCleanup(unix.Close, listen(o.fw, 3128))
		why := "was taken by fw"
		for _, to := range []probes.Target{server4, o.server.On("dmz")} {
			noVerdict(probes.BeIsolatedFrom(to, web).WithContext(ctx), o.client, why)
			noVerdict(probes.BeUnansweredBy(to, web).WithContext(ctx), o.client, why)
		}
	})
})
