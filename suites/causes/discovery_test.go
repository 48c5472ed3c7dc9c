package causes_test

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// countedBy is how many packets the counters of a node's rules have seen.
func countedBy(node *harness.Node) (packets int) {
	GinkgoHelper()
	text, err := node.Command("nft", "list", "ruleset").Output()
	Expect(err).NotTo(HaveOccurred())
	for _, found := range regexp.MustCompile(`counter packets (\d+)`).FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(found[1]))
		Expect(err).NotTo(HaveOccurred())
		packets += n
	}
	return packets
}

// ignores sets how a node answers to ARP.
func ignores(name, mode string) func(*harness.Node) error {
	return func(node *harness.Node) error { return node.SetSysctl("net.ipv4.conf."+name+".arp_ignore", mode) }
}

// answers has a node's interface ask for neighbours and answer them, or not.
func answers(yes bool) func(*harness.Node) error {
	return func(node *harness.Node) error {
		if yes {
			return node.Netlink().LinkSetARPOn(link(node, "dmz"))
		}
		return node.Netlink().LinkSetARPOff(link(node, "dmz"))
	}
}

// undiscovered says that a request waits for a neighbour at the client, since a rule at a node drops
// the question or its answer: the rule is named, and isolates nobody.
func undiscovered(ctx SpecContext, o office, link, at, packet, rule string, to netip.Addr, asked probes.Probe) {
	GinkgoHelper()
	results := watch(ctx, o.client, to, asked.Within(silence))
	node := map[string]*harness.Node{"client": o.client, "fw": o.fw, "server": o.server}[at]
	Expect(countedBy(node)).To(BeNumerically(">", 0), "the judge: the rule has dropped some")
	for _, r := range results {
		Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Drop), HaveField("Node", at), HaveField("Policy", false),
			HaveField("Leg", evidence.Request), HaveField("Discovery", HaveValue(And(
				HaveField("Packet", packet), HaveField("Node", "client"), HaveField("Interface", link)))))), "%s", causeOf(r))
		Expect(r.Cause.Word()).To(Equal("neighbour:drop@" + at))
		Expect(r.Cause.String()).To(And(HavePrefix("the request was not sent on at client/"+link+": "), ContainSubstring(packet), ContainSubstring(" was dropped at "+at+" by rule ")))
		Expect(r).To(probes.BeIsolatedFrom(to).At(at).By(rule).Because(evidence.Neighbour))
		noVerdict(probes.BeIsolatedFrom(to), r, "no policy isolates here", "a static neighbour entry lets it in", `Because("neighbour")`)
		noVerdict(probes.BeIsolatedFrom(to).Because(evidence.Drop), r, "not because of drop")

		By("lifting it, as the control")
		Expect(probes.Lift(node, *r.Cause)).To(Succeed())
	}
}

var _ = Describe("a rule that drops neighbour discovery", func() {
	DescribeTable("is named where a host stands next", func(ctx SpecContext, where func(office) *harness.Node, packet, hook, drops string) {
		harness.Require(GinkgoTB(), harness.NftTool)
		if strings.Contains(hook, "egress") {
			harness.Require(GinkgoTB(), harness.Kernel(5, 16))
		}
		o := ruled(where, "table "+hook+"; "+drops+" counter drop comment \"no neighbours\"; }; }")
		to := netip.MustParseAddr("10.0.1.2")
		if packet[0] != 'A' {
			to = netip.MustParseAddr("fd00:1::2")
		}
		undiscovered(ctx, o, "lan", where(o).Name(), packet, "no neighbours", to, dns)
		Expect(o.client).To(probes.BeRefusedBy(to, patient(dns)...).WithContext(ctx))
	},
		Entry("inet, the question, at the target", atFw, "neighbour solicitation", "inet f { chain c { type filter hook input priority 0", "icmpv6 type nd-neighbor-solicit"),
		Entry("inet, the answer, at the target", atFw, "neighbour advertisement", "inet f { chain c { type filter hook output priority 0", "icmpv6 type nd-neighbor-advert"),
		Entry("inet, before routing", atFw, "neighbour solicitation", "inet f { chain c { type filter hook prerouting priority -300", "icmpv6 type nd-neighbor-solicit"),
		Entry("ip6, the question, at the asker", atClient, "neighbour solicitation", "ip6 f { chain c { type filter hook output priority 0", "icmpv6 type nd-neighbor-solicit"),
		Entry("ip6, the answer, at the asker", atClient, "neighbour advertisement", "ip6 f { chain c { type filter hook input priority 0", "icmpv6 type nd-neighbor-advert"),
		Entry("arp, the question, at the target", atFw, "ARP request", "arp f { chain c { type filter hook input priority 0", "arp operation request"),
		Entry("arp, the answer, at the target", atFw, "ARP reply", "arp f { chain c { type filter hook output priority 0", "arp operation reply"),
		Entry("arp, the question, at the asker", atClient, "ARP request", "arp f { chain c { type filter hook output priority 0", "arp operation request"),
		Entry("arp, the answer, at the asker", atClient, "ARP reply", "arp f { chain c { type filter hook input priority 0", "arp operation reply"),
		Entry("netdev, ARP, at the target", atFw, "ARP request", "netdev f { chain c { type filter hook ingress device lan priority 0", "ether type arp"),
		Entry("netdev, ND, at the target", atFw, "neighbour solicitation", "netdev f { chain c { type filter hook ingress device lan priority 0", "icmpv6 type nd-neighbor-solicit"),
		Entry("netdev, ARP, at the asker", atClient, "ARP reply", "netdev f { chain c { type filter hook ingress device lan priority 0", "arp operation reply"),
		Entry("netdev, ARP, as it leaves the asker", atClient, "ARP request", "netdev f { chain c { type filter hook egress device lan priority 0", "arp operation request"),
		Entry("netdev, ARP, as it leaves the target", atFw, "ARP reply", "netdev f { chain c { type filter hook egress device lan priority 0", "arp operation reply"),
		Entry("netdev, ND, as it leaves the asker", atClient, "neighbour solicitation", "netdev f { chain c { type filter hook egress device lan priority 0", "icmpv6 type nd-neighbor-solicit"),
		Entry("netdev, ND, as it leaves the target", atFw, "neighbour advertisement", "netdev f { chain c { type filter hook egress device lan priority 0", "icmpv6 type nd-neighbor-advert"),
		Entry("netdev, ND, at the asker", atClient, "neighbour advertisement", "netdev f { chain c { type filter hook ingress device lan priority 0", "icmpv6 type nd-neighbor-advert"),
	)

	DescribeTable("is named where a bridge stands between", func(ctx SpecContext, to, packet, hook, drops string) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := bridged()
		Expect(o.fw.Nft("table " + hook + "; " + drops + " counter drop comment \"no neighbours\"; }; }")).To(Succeed())
		undiscovered(ctx, o, "left", "fw", packet, "no neighbours", netip.MustParseAddr(to), dns)
		Expect(o.client).To(probes.Reach(netip.MustParseAddr(to), patient(dns)...).WithContext(ctx))
	},
		Entry("ARP requests", "10.0.9.2", "ARP request", "bridge f { chain c { type filter hook forward priority 0", "arp operation request"),
		Entry("ARP replies", "10.0.9.2", "ARP reply", "bridge f { chain c { type filter hook forward priority 0", "arp operation reply"),
		Entry("solicitations", "fd00:9::2", "neighbour solicitation", "bridge f { chain c { type filter hook prerouting priority 0", "icmpv6 type nd-neighbor-solicit"),
		Entry("advertisements", "fd00:9::2", "neighbour advertisement", "bridge f { chain c { type filter hook postrouting priority 0", "icmpv6 type nd-neighbor-advert"),
		Entry("ARP, where it comes in", "10.0.9.2", "ARP request", "netdev f { chain c { type filter hook ingress device left priority 0", "ether type arp"),
		Entry("ND, where it comes in", "fd00:9::2", "neighbour advertisement", "netdev f { chain c { type filter hook ingress device right priority 0", "icmpv6 type nd-neighbor-advert"),
	)

	It("isolates by a policy that the request meets as well, which is lifted as the control", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := ruled(atServer, `table inet f { chain c { type filter hook input priority 0; policy drop; }; }`)
		Expect(o.client).To(probes.MustMatter(probes.BeIsolatedFrom(server6, dns.Within(silence))).At("server").By("policy drop of inet f c").WithContext(ctx))
	})

	DescribeTable("is none where a node answers nobody, and why is told", func(ctx SpecContext, to netip.Addr, why string, begin, end func(server *harness.Node) error) {
		o := up()
		Expect(begin(o.server)).To(Succeed())
		for _, r := range waits(ctx, o.client, to, "fw", evidence.Neighbour, dns) {
			Expect(r.Cause.Detail).To(And(HavePrefix("server has "), HaveSuffix(why)))
		}

		By("having it answer, as the control")
		Expect(end(o.server)).To(Succeed())
		forget(o.fw, "dmz", to)
		Expect(o.client).To(probes.Reach(to, patient(dns)...).WithContext(ctx))
	},
		Entry("by a sysctl", server4, ": net.ipv4.conf.dmz.arp_ignore=8", ignores("dmz", "8"), ignores("dmz", "0")),
		Entry("by one for all", server4, ": net.ipv4.conf.all.arp_ignore=8", ignores("all", "8"), ignores("all", "0")),
		Entry("by its interface", server4, ": its interface dmz asks and answers nobody (NOARP)", answers(false), answers(true)),
		Entry("by its interface, IPv6", server6, ": its interface dmz asks and answers nobody (NOARP)", answers(false), answers(true)),
	)

	It("is not blamed for the copies that others get", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("bystander")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		for _, name := range []string{"client", "deaf", "third"} {
			network.Host(name, lan)
		}
		lab := harness.Up(GinkgoTB(), network)
		client, deaf, third := lab.Node("client"), lab.Node("deaf"), lab.Node("third")
		Expect(third.Nft(`table arp f { chain c { type filter hook input priority 0; counter drop; }; }`)).To(Succeed())
		Expect(deaf.Netlink().LinkSetARPOff(link(deaf, "lan"))).To(Succeed())
		for _, r := range watch(ctx, client, netip.MustParseAddr("10.0.0.2"), dns.Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Neighbour), HaveField("Node", "client"), HaveField("Rule", BeNil()))), "%s", causeOf(r))
		}
		Expect(countedBy(third)).To(BeNumerically(">", 0), "the judge: it has dropped its copy")
	})
})
