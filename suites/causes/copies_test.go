package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a copy of a packet", func() {
	// fw mirrors what it hands on to a node that looks into it, and drops it.
	DescribeTable("that is dropped says nothing of the packet", func(ctx SpecContext, mirror func() (o office, ids *harness.Node)) {
		o, ids := mirror()
		Expect(ids.Nft(`table inet filter { chain in { type filter hook prerouting priority 0;
			udp dport 53 drop comment "seen enough"; }; }`)).To(Succeed())
		Expect(o.client).To(probes.Reach(server4, patient(dns)...).WithContext(ctx))
		Expect(o.client).NotTo(probes.BeIsolatedFrom(server4, dns).WithContext(ctx))
		kept := routesOf(o.server)
		Expect(o.server.Port("dmz").Down()).To(Succeed())
		broken(ctx, o.client, server4, "server", evidence.LinkDown, dns)

		By("mirroring no more")
		Expect(o.fw.Nft("flush ruleset")).To(Succeed())
		broken(ctx, o.client, server4, "server", evidence.LinkDown, dns)

		By("bringing the server back, as the control")
		Expect(o.server.Port("dmz").Up()).To(Succeed())
		giveRoutes(o.server, kept)
		Expect(o.client).To(probes.Reach(server4, patient(dns)...).WithContext(ctx))
	},
		Entry("on the same link", func() (office, *harness.Node) {
			f := newFarm()
			mirrored(f.fw, "10.0.2.3", "dmz")
			return f.office, f.other
		}),
		Entry("on a link of its own", func() (office, *harness.Node) {
			harness.Require(GinkgoTB(), harness.NftTool)
			network := topo.New("mirrored")
			lan, dmz := network.Wire("lan", lan4.String()), network.Wire("dmz", dmz4.String())
			side := network.Wire("side", "10.0.3.0/24")
			network.Host("client", lan)
			network.Host("server", dmz)
			network.Router("fw", lan, dmz, side.At("10.0.3.1"))
			network.Host("ids", side.At("10.0.3.2"))
			lab := harness.Up(GinkgoTB(), network)
			o := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
			probes.Serve(GinkgoTB(), o.server, dns)
			mirrored(o.fw, "10.0.3.2", "side")
			return o, lab.Node("ids")
		}),
	)
})

// mirrored has a node send copies of what the lan asks to another.
func mirrored(node *harness.Node, to, link string) {
	GinkgoHelper()
	Expect(node.Nft(`table ip mirror { chain in { type filter hook prerouting priority 0;
		iifname "lan" udp dport 53 dup to ` + to + ` device "` + link + `"; }; }`)).To(Succeed())
}
