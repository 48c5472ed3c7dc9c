package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A firewall that bridges, on whose far side the server has an address of the near one.
var _ = Describe("a transparent firewall", func() {
	transparent := func(rules string) office {
		GinkgoHelper()
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("transparent")
		near, far := network.Wire("near", "10.0.1.0/24"), network.Wire("far")
		network.Host("client", near.At("10.0.1.5"))
		network.Host("fw", near.NoAddress(), far.NoAddress())
		network.Host("server", far.NoAddress().Also("10.0.1.9/24"))
		lab := harness.Up(GinkgoTB(), network)
		o := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
		bridgeOf(o.fw, "near", "far")
		Expect(o.fw.Nft(rules)).To(Succeed())
		return o
	}
	log := probes.UDP(514).Within(silence)

	It("isolates by its policy, though no neighbour is found either", func(ctx SpecContext) {
		o := transparent(`table bridge f { chain c { type filter hook forward priority 0; policy drop; }; }`)
		judge := mute(ctx, o.server, 514)
		isolates := probes.BeIsolatedFrom(o.server, log).At("fw").By("policy drop of bridge f c").WithContext(ctx)
		Expect(o.client).To(isolates)
		Expect(isolates.NegatedFailureMessage(o.client)).To(ContainSubstring("the ARP request was dropped at fw by policy drop of bridge f c"))
		Expect(judge.came()).To(BeZero())
		for _, r := range watch(ctx, o.client, o.server, log) {
			Expect(r.Cause.Detail).To(HavePrefix("server has 10.0.1.9"), "who has the address")
		}
	})

	It("isolates nothing where it drops but the questions for neighbours", func(ctx SpecContext) {
		o := transparent(`table bridge f { chain c { type filter hook forward priority 0; ether type arp drop; }; }`)
		judge := mute(ctx, o.server, 514)
		noVerdict(probes.BeIsolatedFrom(o.server, log).WithContext(ctx), o.client,
			`only neighbour discovery stops the request: the ARP request was dropped at fw by rule "ether type arp drop" of bridge f c`)
		Expect(judge.came()).To(BeNumerically(">", 0), "the frame to the MAC that the lab knows")
	})
})
