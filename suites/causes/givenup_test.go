package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a neighbour that the kernel has given up", func() {
	It("is named then, though nothing comes of the error that tells of it", func(ctx SpecContext) {
		o := up()
		Expect(o.fw.Nft(`table inet mute { chain out { type filter hook output priority 0;
			icmp type destination-unreachable drop; icmpv6 type destination-unreachable drop; }; }`)).To(Succeed())
		for _, to := range []string{"10.0.2.99", "fd00:2::99"} {
			results := broken(ctx, o.client, netip.MustParseAddr(to), "fw", evidence.Neighbour, icmp, dns)
			Expect(results).To(HaveEach(HaveField("Cause.Detail", Equal("nobody answers for "+to))))
		}
	})
})
