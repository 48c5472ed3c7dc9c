package links_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// home is a home's router: two of its ports are bridged, the third leads outside.
//
//	one --eth1-- +
//	             | br-lan router --wan-- site
//	two --eth2-- +
func home() *topo.Network {
	network := topo.New("home")
	one, two := network.Wire("one", "10.0.1.0/24", "fd00:1::/64"), network.Wire("two")
	wan := network.Wire("wan", "10.0.9.0/24", "fd00:9::/64")
	network.Host("first", one)
	network.Host("second", two)
	network.Host("site", wan)
	network.Router("router", one.As("eth1"), two.As("eth2"), wan).Bridge("br-lan", one, two)
	return network
}

var _ = Describe("a bridge of a node's own", func() {
	var lab *harness.Lab
	var first, second, site, router *harness.Node

	BeforeEach(func() {
		lab = up(home())
		first, second, site, router = lab.Node("first"), lab.Node("second"), lab.Node("site"), lab.Node("router")
	})

	It("passes a first packet", func() {
		passes(first, second, second.Addrs()...)
		passes(site, second, second.Addrs()...)
		passes(site, router, router.On("two").Addrs()...)
		Expect(router.On("two").Addrs()).To(HaveLen(2))
		Expect(router.Port("br-lan").Addrs()).To(HaveLen(2))
	})

	It("is reached, and reached through", func(ctx SpecContext) {
		probes.Serve(GinkgoTB(), second, probes.TCP(80), probes.UDP(53))
		probes.Serve(GinkgoTB(), site, probes.TCP(80), probes.UDP(53))
		reaches(ctx, first, second)
		reaches(ctx, first, site)
		reaches(ctx, site, second)
		Expect(first).To(probes.Reach(router, probes.ICMP()).WithContext(ctx))
		Expect(probes.Survey(ctx, lab, probes.ICMP())).To(probes.MatchMatrix(`
			        first  second  site  router
			first   .      ok      ok    ok
			second  ok     .       ok    ok
			site    ok     ok      .     ok
			router  ok     ok      ok    .
		`))
	})

	It("isolates by a rule of the bridge, which is named", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		Expect(router.Nft(`table bridge filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				iifname "eth1" oifname "eth2" drop comment "guests are apart"
			}
		}`)).To(Succeed())
		Expect(first).To(probes.MustMatter(probes.BeIsolatedFrom(second, probes.ICMP(), probes.TCP(80))).At("router").By("guests are apart").WithContext(ctx))
		Expect(first).To(probes.Reach(site, probes.ICMP()).WithContext(ctx))
	})

	It("isolates by a rule of the router, from what is behind it", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		Expect(router.Nft(`table inet filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				iifname "wan" oifname "br-lan" drop comment "nobody comes in"
			}
		}`)).To(Succeed())
		Expect(site).To(probes.BeIsolatedFrom(second, probes.ICMP(), probes.TCP(80)).At("router").By("nobody comes in").WithContext(ctx))
	})

	It("says which port is down", func(ctx SpecContext) {
		Expect(router.Port("two").Down()).To(Succeed())
		result, err := probes.Watch(ctx, first, second, probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Kind).To(Equal(evidence.LinkDown), result.String())
		By("bringing it up again")
		Expect(router.Port("two").Up()).To(Succeed())
		Expect(first).To(probes.Reach(second, probes.ICMP()).WithContext(ctx))
	})

	It("has no address where it has none", func(ctx SpecContext) {
		network := topo.New("transparent")
		inside, outside := network.Wire("inside", "10.0.1.0/24", "fd00:1::/64"), network.Wire("outside")
		network.Host("client", inside)
		network.Host("server", outside)
		network.Host("fw", inside.NoAddress(), outside.NoAddress()).Bridge("br0", inside, outside)
		lab := up(network)
		client, server := lab.Node("client"), lab.Node("server")
		passes(client, server, server.Addrs()...)
		Expect(client).To(probes.Reach(server, probes.ICMP()).WithContext(ctx))
		Expect(lab.Node("fw").Addrs()).To(BeEmpty())
	})
})

var _ = Describe("an interface that is a dummy", func() {
	It("has addresses that are on no link", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Dummy)
		network := topo.New("anycast")
		lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
		network.Host("client", lan)
		network.Host("server", lan).Dummy("anycast").Address("192.0.2.1/32", "fd00:2::1/128")
		lab := up(network)
		server := lab.Node("server")
		Expect(server.Port("anycast").Addrs()).To(HaveLen(2))
		passes(server, server, server.Addrs()...)
	})
})
