package overlap_test

import (
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// silence is how long a probe waits that nobody is to answer.
const silence = 200 * time.Millisecond

var _ = Describe("one address twice on one segment", func() {
	var client *harness.Node
	twin := netip.MustParseAddr("10.0.0.9")

	BeforeEach(func() {
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.0.0/24")
		network.Host("client", lan)
		network.Host("left", lan.At("10.0.0.9").MAC("02:00:00:00:00:0a").Duplicate())
		network.Host("right", lan.At("10.0.0.9").MAC("02:00:00:00:00:0b"))
		lab := harness.Up(GinkgoTB(), network)
		client = lab.Node("client")
		probes.Serve(GinkgoTB(), lab.Node("left"), probes.TCP(80))
		probes.Serve(GinkgoTB(), lab.Node("right"), probes.TCP(80))
	})

	It("is a mistake unless the declaration says that it is meant", func() {
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.0.0/24")
		network.Host("left", lan.At("10.0.0.9"))
		network.Host("right", lan.At("10.0.0.9"))
		Expect(network.Validate()).To(MatchError(ContainSubstring(
			"node right: segment lan: address 10.0.0.9 is node left's already")))
	})

	It("has both owners, and an answer without a signature names them both", func(ctx SpecContext) {
		Expect(client.Lab().Plan().Owners(twin)).To(Equal([]string{"left", "right"}))
		result, err := probes.Ask(ctx, client, twin, probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.By).To(BeEmpty())
		Expect(result.String()).To(ContainSubstring("answered by one of left, right"))
	})

	DescribeTable("answers as whom the neighbour entry leads to", func(ctx SpecContext, mac, owner string) {
		hardware, err := net.ParseMAC(mac)
		Expect(err).NotTo(HaveOccurred())
		link, err := client.Netlink().LinkByName("lan")
		Expect(err).NotTo(HaveOccurred())
		Expect(client.Netlink().NeighSet(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: twin.AsSlice(), HardwareAddr: hardware,
		})).To(Succeed())
		result, err := probes.Ask(ctx, client, twin, probes.TCP(80))
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(And(HaveField("By", owner), HaveField("Proven", true)))
	},
		Entry("the left one", "02:00:00:00:00:0a", "left"),
		Entry("the right one", "02:00:00:00:00:0b", "right"),
	)
})

var _ = Describe("a gateway between two owners of one address", func() {
	var a, b, gw *harness.Node
	server := netip.MustParseAddr("10.0.0.2")

	BeforeEach(func() {
		network := topo.New("tables")
		toA, toB := network.Wire("to-a", "10.1.0.0/24"), network.Wire("to-b", "10.2.0.0/24")
		siteA, siteB := network.Wire("site-a", "10.0.0.0/24"), network.Wire("site-b", "10.0.0.0/24")
		network.Router("gw", toA.At("10.1.0.1"), toB.At("10.2.0.1"), siteA.At("10.0.0.1"), siteB.At("10.0.0.1")).Route(
			topo.Route{To: "10.0.0.0/24", Dev: siteA, Table: 101},
			topo.Route{To: "10.0.0.0/24", Dev: siteB, Table: 102})
		network.Host("client-a", toA).Route(topo.Route{Via: "10.1.0.1"})
		network.Host("client-b", toB).Route(topo.Route{Via: "10.2.0.1"})
		network.Host("server-a", siteA.At("10.0.0.2"))
		network.Host("server-b", siteB.At("10.0.0.2"))
		lab := harness.Up(GinkgoTB(), network)
		a, b, gw = lab.Node("client-a"), lab.Node("client-b"), lab.Node("gw")
		probes.Serve(GinkgoTB(), lab.Node("server-a"), probes.TCP(80))
		probes.Serve(GinkgoTB(), lab.Node("server-b"), probes.TCP(80))
	})

	answerer := func(ctx SpecContext, client *harness.Node) string {
		GinkgoHelper()
		result, err := probes.Ask(ctx, client, server, probes.TCP(80))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Outcome).To(Equal(probes.Answered))
		return result.By
	}

	It("is told by the plan to be ambiguous", func() {
		Expect(gw.Lab().Plan().Notes).To(ContainElement(ContainSubstring("10.0.0.0/24 of segment site-b")))
	})

	It("reaches one of them only, without tables of their own", func(ctx SpecContext) {
		Expect(answerer(ctx, a)).To(Equal(answerer(ctx, b)))
	})

	It("reaches each by its own table", func(ctx SpecContext) {
		for table, from := range map[int]string{101: "to-a", 102: "to-b"} {
			rule := netlink.NewRule()
			rule.Table, rule.IifName, rule.Priority = table, from, table
			Expect(gw.Netlink().RuleAdd(rule)).To(Succeed())
		}
		Expect(answerer(ctx, a)).To(Equal("server-a"))
		Expect(answerer(ctx, b)).To(Equal("server-b"))
	})
})
