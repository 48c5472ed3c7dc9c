package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("who hears what is sent to all on a link by UDP-Lite", func() {
	DescribeTable("is told, and of the others why not", func(ctx SpecContext, to string) {
		harness.Require(GinkgoTB(), harness.UDPLite)
		s := neighbours(input(`meta l4proto udplite drop comment "nothing light"; udp dport 7 accept`))
		group := netip.MustParseAddr(to)
		came := map[string]func() bool{}
		for _, name := range []string{"peer", "third", "guarded"} {
			came[name] = ear(s.node(name), group, unix.IPPROTO_UDPLITE, 7, func(int, int) error { return nil })
			if group.IsMulticast() && name != "guarded" {
				join(s.node(name), group)
			}
		}
		heard := hears(ctx, s, to, probes.UDPLite(7))
		Expect(heard.Nodes()).To(ConsistOf("third"))
		Expect(heard.Missed).To(ConsistOf(
			And(deaf("peer", "dropped at peer by rule"), HaveField("Rule.Comment", "nothing light"), HaveField("At", "peer")),
			HaveField("Node", "guarded"), // by its policy, or since it is in no group
		))
		Eventually(came["third"]).WithTimeout(5*time.Second).Should(BeTrue(), "the judge")
		for _, name := range []string{"peer", "guarded"} {
			Expect(came[name]()).To(BeFalse(), "the judge")
		}

		By("asking at a port that a socket of UDP has, and none of UDP-Lite")
		other := wildcard(s.node("third"), map[bool]string{false: "udp4", true: "udp6"}[group.Is6()], 9)
		closed := hears(ctx, s, to, probes.UDPLite(9))
		Expect(closed.Nodes()).To(BeEmpty())
		Expect(closed.Missed).To(ContainElement(deaf("third", "nobody there has port 9")))
		Expect(other.heard()).To(BeEmpty(), "the judge")
	},
		Entry("the subnet", "10.0.1.255"),
		Entry("everybody", "255.255.255.255"),
		Entry("a group of IPv4", "239.1.2.3"),
		Entry("a group of IPv6", "ff02::abcd"),
	)
})
