package verdicts_test

import (
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("isolated ports of a switch", func() {
	DescribeTable("do not isolate from whom nobody reaches, since its link is down", func(ctx SpecContext, prefix string) {
		harness.Require(GinkgoTB(), harness.IPv6)
		network := topo.New("office")
		lan := network.Switch("lan", prefix)
		network.Host("pc", lan.Isolated())
		network.Host("site", lan.Isolated())
		network.Host("other", lan)
		s := (&site{network: network}).up()
		pc, target, other := s.node("pc"), s.node("site"), s.node("other")
		heard := datagrams(target, 7, 0)
		Expect(pc).To(probes.BeIsolatedFrom(target, echo).Because(evidence.PortIsolated).WithContext(ctx), "the control")
		Expect(other).To(probes.Reach(target, echo).WithContext(ctx), "the control")

		had := len(heard.heard())
		Expect(target.Port("lan").Down()).To(Succeed())
		ok, err := probes.BeIsolatedFrom(target, echo.Within(time.Second)).WithContext(ctx).Match(pc)
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("the link is down")))
		result, err := probes.Watch(ctx, other, target, echo.Within(time.Second))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Outcome).NotTo(Equal(probes.Answered), "the judge: who is not isolated reaches nobody either")
		Expect(heard.heard()).To(HaveLen(had), "the judge")
	},
		Entry("IPv4", "10.0.1.0/24"),
		Entry("IPv6", "fd00:1::/64"),
	)
})
