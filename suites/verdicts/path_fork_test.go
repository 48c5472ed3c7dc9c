package verdicts_test

import (
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// forked are pc - fork, and from there by left1 and left2, or by right1 and right2, to join - site. The
// fork sends one packet to the left and the next to the right.
func forked() *harness.Lab {
	GinkgoHelper()
	network := topo.New("forked")
	link := func(name, prefix string) *topo.Segment { return network.Switch(name, prefix) }
	lan, wan := link("lan", "10.0.1.0/24"), link("wan", "10.0.9.0/24")
	left, right := link("left", "10.0.2.0/24"), link("right", "10.0.3.0/24")
	lefts, rights := link("lefts", "10.0.4.0/24"), link("rights", "10.0.5.0/24")
	leftmost, rightmost := link("leftmost", "10.0.6.0/24"), link("rightmost", "10.0.7.0/24")
	network.Host("pc", lan)
	network.Host("site", wan)
	network.Router("fork", lan, left, right).
		Rule(topo.Rule{To: "10.0.9.0/24", Mark: 1, Table: 100}, topo.Rule{To: "10.0.9.0/24", Mark: 2, Table: 101}).
		Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.2.2", Table: 100}, topo.Route{To: "10.0.9.0/24", Via: "10.0.3.2", Table: 101}).
		Nft(`table ip f { chain c { type filter hook prerouting priority mangle; iifname "lan" meta mark set numgen inc mod 2 offset 1; }; }`)
	for _, name := range []string{"left1", "left2", "right1", "right2"} {
		at := map[string][]topo.Attachment{"left1": {left, lefts}, "left2": {lefts, leftmost}, "right1": {right, rights}, "right2": {rights, rightmost}}
		network.Router(name, at[name]...).Nft(`table ip f { counter came { }; chain c { type filter hook prerouting priority 0; ip daddr 10.0.9.0/24 counter name "came"; }; }`)
	}
	network.Router("join", leftmost, rightmost, wan)
	return harness.Up(GinkgoTB(), network)
}

var _ = Describe("the path of a probe where ways fork", func() {
	DescribeTable("is one that a packet can take", func(ctx SpecContext, p probes.Probe) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := forked()
		trace, err := probes.Path(ctx, lab.Node("pc"), lab.Node("site"), p.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(trace.Reached).To(BeTrue(), trace.String())
		nodes := append([]string{"pc"}, trace.Nodes()...)
		Expect(nodes).To(HaveLen(6), trace.String())
		for i, node := range nodes[1:] {
			Expect(segmentsOf(lab, node)).To(ContainElement(BeElementOf(segmentsOf(lab, nodes[i]))), "the judge: no link joins %s and %s\n%s", nodes[i], node, trace)
		}
		for _, side := range []string{"left1", "right1"} {
			out, err := lab.Node(side).Command("nft", "list", "counter", "ip", "f", "came").Output()
			Expect(err).NotTo(HaveOccurred())
			Expect(string(out)).To(MatchRegexp("packets [1-9]"), "or there was no fork")
		}
		asked := slices.ContainsFunc(trace.Hops, func(h probes.TraceHop) bool { return h.Asked > 1 })
		Expect(asked).To(BeTrue(), "what went the other way is told\n%s", trace)
	},
		Entry("ICMP", icmp),
		Entry("UDP", probes.UDP(33434)),
	)
})

// segmentsOf are a node's segments by the plan.
func segmentsOf(lab *harness.Lab, node string) (segments []string) {
	plan, _ := lab.Plan().Node(node)
	for _, port := range plan.Ports {
		segments = append(segments, port.Segment)
	}
	return segments
}
