package links_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// ping waits for whoever is asked for a second time: here it is not about the first packet.
var ping = probes.ICMP().Within(10 * time.Second)

var _ = Describe("a node that is given something while its lab is up", func() {
	var client, server, fw *harness.Node

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("edits")
		lan, dmz := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Wire("dmz", "10.0.2.0/24", "fd00:2::/64")
		network.Host("client", lan)
		network.Host("server", dmz)
		network.Router("fw", lan, dmz).Nft(`table inet f { chain forward { type filter hook forward priority 0; policy accept; meta l4proto tcp drop comment "no tcp"; }; }`)
		lab := harness.Up(GinkgoTB(), network)
		client, server, fw = lab.Node("client"), lab.Node("server"), lab.Node("fw")
	})

	It("is asked at an address that it was given, and not at one that it lost", func(ctx SpecContext) {
		Expect(client).To(probes.BeIsolatedFrom(server, probes.TCP(80)).By("no tcp").WithContext(ctx))
		further := netip.MustParsePrefix("10.0.2.99/24")
		Expect(server.AddAddr("dmz", further)).To(Succeed())
		Expect(fw.Nft("insert rule inet f forward ip daddr 10.0.2.99 accept\ninsert rule inet f forward ip saddr 10.0.2.99 accept")).To(Succeed())
		probes.Serve(GinkgoTB(), server, probes.TCP(80))
		Expect(client).To(probes.Reach(further.Addr(), probes.TCP(80).Within(10*time.Second)).WithContext(ctx))
		holds, err := probes.BeIsolatedFrom(server, probes.TCP(80)).WithContext(ctx).Match(client)
		Expect(holds).To(BeFalse(), "though it is reached at what it was given")
		Expect(err).To(MatchError(ContainSubstring("server at 10.0.2.99, asked from 10.0.1.1, was reached")))
		result, err := probes.Watch(ctx, client, further.Addr(), ping)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.By).To(Equal("server"), result.String())

		Expect(server.DelAddr("dmz", further)).To(Succeed())
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, probes.TCP(80))).At("fw").By("no tcp").WithContext(ctx))
		_, err = probes.BeIsolatedFrom(further.Addr(), ping).WithContext(ctx).Match(client)
		Expect(err).To(MatchError(ContainSubstring("10.0.2.99")))
	})

	It("ends what its rule of policy routing says, and not without it", func(ctx SpecContext) {
		closed := topo.Rule{Priority: 100, To: "10.0.2.0/24", Type: topo.Prohibit}
		Expect(client).To(probes.Reach(server, ping).WithContext(ctx))
		Expect(fw.AddRule(closed)).To(Succeed())
		at := server.On("dmz").Addrs()[0]
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(at, ping)).At("fw").WithContext(ctx))
		Expect(fw.DelRule(closed)).To(Succeed())
		Expect(client).To(probes.Reach(at, ping).WithContext(ctx))
	})

	It("routes by what it was given, and stops by what it lost", func(ctx SpecContext) {
		service := netip.MustParsePrefix("192.0.2.80/32")
		Expect(server.AddAddr("lo", service)).To(Succeed())
		Expect(fw.AddRoute(topo.Route{To: "192.0.2.80/32", Via: server.Addrs()[0].String()})).To(Succeed())
		Expect(client).To(probes.Reach(service.Addr(), ping).AnsweredBy("server").WithContext(ctx))
		Expect(fw.DelRoute(service)).To(Succeed())
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(service.Addr(), ping)).At("fw").WithContext(ctx))
	})
})
