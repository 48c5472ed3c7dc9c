package links_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// overlaid is a network over another. fw is on it too, with a segment behind.
//
//	client --\                  /-- fw --dmz-- server
//	          overlay over core
//	other  --/                  \-- ...
func overlaid(under string, over func(n *topo.Network, core *topo.Segment) *topo.Segment) *topo.Network {
	network := topo.New("overlaid")
	core := network.Switch("core", under)
	overlay := over(network, core)
	dmz := network.Wire("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("client", core, overlay)
	network.Host("other", overlay, core)
	network.Host("server", dmz)
	network.Router("fw", core, overlay, dmz)
	return network
}

// works asks over an overlay, and past it.
func works(ctx SpecContext, lab *harness.Lab, overlay string) {
	GinkgoHelper()
	client, other, fw, server := lab.Node("client"), lab.Node("other"), lab.Node("fw"), lab.Node("server")
	passes(client, other, other.On(overlay).Addrs()...)
	passes(other, fw, fw.On(overlay).Addrs()...)
	passes(client, server, server.Addrs()...)
	probes.Serve(GinkgoTB(), other, probes.TCP(80), probes.UDP(53))
	probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
	reaches(ctx, client, other.On(overlay))
	reaches(ctx, client, server)

	By("closing fw")
	closed(fw)
	Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, probes.ICMP(), probes.TCP(80))).At("fw").By("closed").WithContext(ctx))
}

// prefixes are those of the overlays here.
var prefixes = []string{"10.0.1.0/24", "fd00:1::/64"}

var _ = Describe("a segment over another", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.NftTool) })

	It("is a VXLAN", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.VXLAN)
		lab := up(overlaid("192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.VXLAN("red", core, 42, prefixes...) }))
		Expect(lab.Node("client").Port("red").Addrs()).To(HaveLen(2))
		works(ctx, lab, "red")
	})

	It("is a VXLAN over IPv6", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.VXLAN)
		lab := up(overlaid("fd00:9::/64", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.VXLAN("red", core, 42, prefixes...) }))
		works(ctx, lab, "red")
	})

	It("keeps two VXLANs of the same addresses apart", func() {
		harness.Require(GinkgoTB(), harness.VXLAN)
		network := topo.New("tenants")
		core := network.Switch("core", "192.0.2.0/24")
		for i, tenant := range []string{"red", "blue"} {
			overlay := network.VXLAN(tenant+"/net", core, 100+i, "10.0.1.0/24")
			network.Host(tenant+"/a", core, overlay)
			network.Host(tenant+"/b", core, overlay)
		}
		lab := up(network)
		for _, tenant := range []string{"red", "blue"} {
			passes(lab.Node(tenant+"/a"), lab.Node(tenant+"/b"), lab.Node(tenant+"/b").On(tenant+"/net").Addrs()...)
		}
	})

	It("is a VLAN", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.VLAN)
		lab := up(overlaid("192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.VLAN("red", core, 100, prefixes...) }))
		works(ctx, lab, "red")
	})

	It("is an IPVLAN", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.IPVLAN)
		network := topo.New("ipvlan")
		lan := network.Switch("lan", prefixes...)
		second := network.IPVLAN("second", lan)
		network.Host("client", lan.NoAddress(), second)
		network.Host("server", lan, second)
		lab := up(network)
		client, server := lab.Node("client"), lab.Node("server")
		passes(client, server, server.Addrs()...)
		passes(server, client, client.Addrs()...)
		probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
		reaches(ctx, client, server.On("second"))

		By("closing the server")
		Expect(server.Nft(`table inet f { chain input { type filter hook input priority 0; tcp dport 80 drop comment "no web"; }; }`)).To(Succeed())
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server.On("second"), probes.TCP(80))).At("server").By("no web").WithContext(ctx))
	})

	It("is a MACVLAN", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.MACVLAN)
		network := topo.New("macvlan")
		lan := network.Switch("lan", prefixes...)
		second := network.MACVLAN("second", lan)
		network.Host("client", lan)
		network.Host("server", lan.NoAddress(), second)
		lab := up(network)
		client, server := lab.Node("client"), lab.Node("server")
		passes(client, server, server.Addrs()...)
		probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
		reaches(ctx, client, server)
	})
})
