package links_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what is below an overlay", func() {
	var lab *harness.Lab
	var client, other *harness.Node

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.NftTool, harness.VXLAN)
		lab = up(overlaid("192.0.2.0/24", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.VXLAN("red", core, 42, prefixes...) }))
		client, other = lab.Node("client"), lab.Node("other")
	})

	lose := func() {
		GinkgoHelper()
		Expect(other.Nft(`table inet filter { chain input { type filter hook input priority 0; policy accept; udp dport 4789 drop comment "no vxlan"; }; }`)).To(Succeed())
	}

	It("is told of where nobody answers", func(ctx SpecContext) {
		lose()
		result, err := probes.Watch(ctx, client, other.On("red").Addrs()[0], probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Kind).To(Equal(evidence.Neighbour), result.String())
		Expect(result.Cause.String()).To(ContainSubstring("red is a vxlan: what carries it may have been lost below; of udp/4789 from client to other (192.0.2.2), sent to find out, the request was dropped at other by rule"))
	})

	It("isolates nobody by what is not seen", func(ctx SpecContext) {
		Expect(client).To(probes.Reach(other.On("red"), probes.ICMP()).WithContext(ctx))
		lose()
		isolated, err := probes.BeIsolatedFrom(other.On("red"), probes.ICMP()).WithContext(ctx).Match(client)
		Expect(err).To(MatchError(ContainSubstring("not shown to be isolated")))
		Expect(isolated).To(BeFalse())
	})
})
