package links_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// bonded is a server with two ports at one switch, as one link.
func bonded(mode topo.BondMode) *topo.Network {
	network := topo.New("bonded")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	network.Host("client", lan)
	network.Host("server", lan.As("eth0"), lan.As("eth1")).Bond("bond0", mode, lan.As("eth0"), lan.As("eth1"))
	return network
}

var _ = Describe("a bond", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.Bond) })

	It("is reached while one port is up", func(ctx SpecContext) {
		lab := up(bonded(topo.ActiveBackup))
		client, server := lab.Node("client"), lab.Node("server")
		Expect(server.Addrs()).To(HaveLen(2))
		passes(client, server, server.Addrs()...)
		probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
		reaches(ctx, client, server)

		By("taking the first port down")
		Expect(server.Port("eth0").Down()).To(Succeed())
		Eventually(probes.Ask).WithContext(ctx).WithArguments(client, server, probes.ICMP()).Should(HaveField("Outcome", probes.Answered))

		By("taking the second down")
		Expect(server.Port("eth1").Down()).To(Succeed())
		result, err := probes.Watch(ctx, client, server, probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Kind).To(Equal(evidence.LinkDown), result.String())
		Expect(result.Cause.String()).To(ContainSubstring("no port of the bond is up"))
	})

	It("isolates by a rule", func(ctx SpecContext) {
		lab := up(bonded(topo.BalanceXOR))
		client, server := lab.Node("client"), lab.Node("server")
		passes(client, server, server.Addrs()...)
		Expect(server.Nft(`table inet filter { chain input { type filter hook input priority 0; policy accept; iifname "bond0" meta l4proto icmp drop comment "no ping"; }; }`)).To(Succeed())
		Expect(client).To(probes.BeIsolatedFrom(server.Addrs()[0], probes.ICMP()).At("server").By("no ping").WithContext(ctx))
	})
})
