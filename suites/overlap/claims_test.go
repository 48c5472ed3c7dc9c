package overlap_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// listened is how long it is listened for answers.
const listened = 300 * time.Millisecond

func claims(ctx SpecContext, node *harness.Node, link string, addr netip.Addr) probes.Claims {
	GinkgoHelper()
	found, err := probes.WhoHas(ctx, node, link, addr, listened)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("claims", found.String(), ReportEntryVisibilityFailureOrVerbose)
	return found
}

var _ = Describe("who has an address on a link", func() {
	var client, left, right, bridge, far *harness.Node
	twins, single := addrs("10.0.0.9", "fd00::9"), addrs("10.0.0.8", "fd00::8")
	nobody, behind := addrs("10.0.0.77", "fd00::77"), addrs("10.0.0.12", "fd00::12")

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.IPv6, harness.NftTool)
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		network.Host("client", lan)
		network.Host("left", lan.At("10.0.0.9", "fd00::9").MAC(macLeft).Duplicate())
		network.Host("right", lan.At("10.0.0.9", "fd00::9").MAC(macRight))
		network.Host("third", lan.At("10.0.0.8", "fd00::8").MAC(macThird))
		cable := network.Wire("cable")
		network.Host("bridge", lan.NoAddress(), cable.NoAddress()).Bridge("br", lan, cable)
		network.Host("far", cable.At("10.0.0.12", "fd00::12"))
		lab := harness.Up(GinkgoTB(), network)
		client, left, right, bridge, far = lab.Node("client"), lab.Node("left"), lab.Node("right"), lab.Node("bridge"), lab.Node("far")
	})

	It("is told of all who answer, by node and MAC, and of nobody where nobody does", func(ctx SpecContext) {
		for i, addr := range twins {
			judge := whoHas(client, "lan", addr)
			Eventually(judge, "5s").Should(And(HaveKey(macLeft), HaveKey(macRight)), "the judge")
			both := claims(ctx, client, "lan", addr)
			Expect(both.Answers).To(ConsistOf(
				And(HaveField("Node", "left"), HaveField("MAC", macLeft), HaveField("Stopped", BeNil())),
				And(HaveField("Node", "right"), HaveField("MAC", macRight), HaveField("After", BeNumerically(">", 0))),
			))
			Expect(both.Unheard).To(BeEmpty())
			Expect(claims(ctx, client, "lan", single[i]).Nodes()).To(ConsistOf("third"))
			Expect(claims(ctx, client, "lan", behind[i]).Nodes()).To(ConsistOf("far"), "past a bridge, which hands it on")
			none := claims(ctx, client, "lan", nobody[i])
			Expect(none.Nodes()).To(BeEmpty())
			Expect(none.Unheard).To(BeEmpty())
			Expect(none.String()).To(HaveSuffix("\n  nobody"))
		}
	})

	DescribeTable("is told of a rule that stops the question or the answer", func(ctx SpecContext, where string, v6 bool, rules, why string) {
		addr := map[bool]netip.Addr{false: behind[0], true: behind[1]}[v6]
		judge := whoHas(client, "lan", addr)
		Eventually(judge, "5s").Should(HaveLen(1), "the control")
		Expect(far.Lab().Node(where).Nft("table " + rules + ` comment "no neighbours"; }; }`)).To(Succeed())
		found := claims(ctx, client, "lan", addr)
		Expect(found.Nodes()).To(BeEmpty())
		Expect(found.Unheard).To(HaveLen(1))
		Expect(found.Unheard[0]).To(And(HaveField("Node", "far"), HaveField("At", where), HaveField("Rule.Comment", "no neighbours")))
		Expect(found.String()).To(ContainSubstring("far has it, and was not heard: the " + why + " was dropped at " + where))
		anew := whoHas(client, "lan", addr)
		Consistently(anew, "100ms").Should(BeEmpty(), "the judge")
	},
		Entry("arp, the question", "far", false, "arp f { chain c { type filter hook input priority 0; arp operation request drop", "ARP request"),
		Entry("arp, the answer", "far", false, "arp f { chain c { type filter hook output priority 0; arp operation reply drop", "ARP reply"),
		Entry("netdev", "far", false, "netdev f { chain c { type filter hook ingress device cable priority 0; ether type arp drop", "ARP request"),
		Entry("bridge, the question", "bridge", false, "bridge f { chain c { type filter hook forward priority 0; arp operation request drop", "ARP request"),
		Entry("bridge, the answer", "bridge", false, "bridge f { chain c { type filter hook forward priority 0; arp operation reply drop", "ARP reply"),
		Entry("ip6, the question", "far", true, "ip6 f { chain c { type filter hook input priority 0; icmpv6 type nd-neighbor-solicit drop", "neighbour solicitation"),
		Entry("inet, the answer", "far", true, "inet f { chain c { type filter hook output priority 0; icmpv6 type nd-neighbor-advert drop", "neighbour advertisement"),
		Entry("bridge, IPv6", "bridge", true, "bridge f { chain c { type filter hook forward priority 0; icmpv6 type nd-neighbor-solicit drop", "neighbour solicitation"),
	)

	It("is told of a node that answers while another's rule keeps it from that", func(ctx SpecContext) {
		Expect(left.Nft(`table arp f { chain c { type filter hook input priority 0; counter drop comment "mute"; }; }`)).To(Succeed())
		found := claims(ctx, client, "lan", twins[0])
		Expect(found.Nodes()).To(ConsistOf("right"))
		Expect(found.Unheard).To(ConsistOf(And(HaveField("Node", "left"), HaveField("Rule.Comment", "mute"))))
		judge := whoHas(client, "lan", twins[0])
		Eventually(judge, "5s").Should(HaveKey(macRight), "the judge")
		Expect(judge()).NotTo(HaveKey(macLeft), "the judge")
	})

	It("is told of what the asker's own rules do with an answer, of a setting, and of a link that is down", func(ctx SpecContext) {
		Expect(client.Nft(`table arp f { chain c { type filter hook input priority 0; arp operation reply drop comment "deaf"; }; }`)).To(Succeed())
		found := claims(ctx, client, "lan", single[0])
		Expect(found.Nodes()).To(ConsistOf("third"))
		Expect(found.Answers[0].Stopped).To(HaveField("Comment", "deaf"))
		Expect(right.SetSysctl("net.ipv4.conf.lan.arp_ignore", "8")).To(Succeed())
		Expect(left.Port("lan").Down()).To(Succeed())
		found = claims(ctx, client, "lan", twins[0])
		Expect(found.Nodes()).To(BeEmpty())
		Expect(found.Unheard).To(ConsistOf(
			And(HaveField("Node", "left"), HaveField("Why", "the ARP request did not come to it")),
			And(HaveField("Node", "right"), HaveField("Why", "the ARP request came to it, and it said nothing: net.ipv4.conf.lan.arp_ignore=8")),
		))
		_, err := probes.WhoHas(ctx, left, "lan", single[0], listened)
		Expect(err).To(MatchError(ContainSubstring("node left: interface lan: who has 10.0.0.8: it is down")))
	})

	It("is asked on a link of the asker's alone, of an address that somebody can have", func(ctx SpecContext) {
		for _, wrong := range []struct {
			link, addr string
			within     time.Duration
			want       string
		}{
			{"dmz", "10.0.0.8", 0, "node client: interface dmz: who has 10.0.0.8: there is no such interface"},
			{"lo", "10.0.0.8", 0, "it has no MAC"},
			{"lan", "224.0.0.1", 0, "nobody has that address on a link"},
			{"lan", "10.0.0.8", -1, "a wait is longer than nothing"},
		} {
			_, err := probes.WhoHas(ctx, client, wrong.link, netip.MustParseAddr(wrong.addr), wrong.within)
			Expect(err).To(MatchError(ContainSubstring(wrong.want)))
		}
		_, err := probes.WhoHas(ctx, bridge, "lan", single[0], listened)
		Expect(err).NotTo(HaveOccurred(), "without an address of its own, as who wants one")
	})
})
