package causes_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// forgetting has a node forget each neighbour on a link as soon as it has given it up: as a
// kernel does once a quarter of a minute, and at once where the whole machine has many.
func forgetting(node *harness.Node, device string) {
	GinkgoHelper()
	index := link(node, device).Attrs().Index
	over, ended := make(chan struct{}), make(chan struct{})
	DeferCleanup(func() {
		close(over)
		<-ended
	})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
			}
			all, _ := node.Netlink().NeighList(index, 0)
			for _, n := range all {
				if n.State == unix.NUD_FAILED {
					_ = node.Netlink().NeighDel(&n)
				}
			}
		}
	}()
}

var _ = Describe("a neighbour that the kernel has given up", func() {
	DescribeTable("is named then, though nothing comes of the error that tells of it", func(ctx SpecContext, forgets bool) {
		o := up()
		Expect(o.fw.Nft(`table inet mute { chain out { type filter hook output priority 0;
			icmp type destination-unreachable drop; icmpv6 type destination-unreachable drop; }; }`)).To(Succeed())
		if forgets {
			forgetting(o.fw, "dmz")
		}
		for _, to := range []string{"10.0.2.99", "fd00:2::99"} {
			results := broken(ctx, o.client, netip.MustParseAddr(to), "fw", evidence.Neighbour, icmp, dns)
			Expect(results).To(HaveEach(HaveField("Cause.Detail", Equal("nobody answers for "+to))))
		}
	},
		Entry("while it is known", false),
		Entry("when it is forgotten", true),
	)
})
