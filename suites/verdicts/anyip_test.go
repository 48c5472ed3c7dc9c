package verdicts_test

import (
	"errors"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("an address that is a node's by a route of type local alone", func() {
	DescribeTable("is refused by its kernel, and so is no isolation, where nobody has the port", func(ctx SpecContext, prefix, own, via string) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("anyip")
		lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
		network.Host("pc", lan)
		network.Host("site", wan)
		network.Router("fw", lan, wan).Route(topo.Route{To: prefix, Via: via}).Nft(drop(`ip daddr 10.0.9.1 counter drop comment "closed"; ip6 daddr fd00:9::1 counter drop comment "closed"`))
		s := (&site{network: network}).up()
		pc, target := s.node("pc"), s.node("site")
		Expect(pc).To(probes.BeIsolatedFrom(target, probes.TCP(81)).At("fw").By("closed").WithContext(ctx), "the control")

		out, err := target.Command("ip", "route", "add", "local", prefix, "dev", "lo").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		_, err = pc.Dial(ctx, "tcp", netip.AddrPortFrom(netip.MustParseAddr(own), 81))
		Expect(errors.Is(err, unix.ECONNREFUSED)).To(BeTrue(), "the judge: %v", err)
		for _, p := range []probes.Probe{probes.TCP(81), probes.UDP(81)} {
			notIsolated(ctx, pc, target, p.Within(time.Second))
			result, err := probes.Watch(ctx, pc, netip.MustParseAddr(own), p.Within(time.Second))
			Expect(err).NotTo(HaveOccurred())
			Expect(result.Cause).To(And(HaveField("Kind", evidence.NoListener), HaveField("Node", "site")), "%s\n%s", result.Cause, result.Timeline)
		}
	},
		Entry("IPv4", "192.0.2.0/24", "192.0.2.1", "10.0.9.1"),
		Entry("IPv6", "2001:db8:5::/64", "2001:db8:5::1", "fd00:9::1"),
	)
})
