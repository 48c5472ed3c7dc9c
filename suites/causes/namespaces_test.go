package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// beside is the office with a node that no packet of the client's passes.
func beside() (o office, bystander *harness.Node) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	network := topo.New("beside")
	lan := network.Switch("lan", lan4.String(), lan6.String())
	dmz := network.Wire("dmz", dmz4.String(), dmz6.String())
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	network.Router("bystander", lan)
	lab := harness.Up(GinkgoTB(), network)
	o = office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
	probes.Serve(GinkgoTB(), o.server, web, dns)
	return o, lab.Node("bystander")
}

const everywhere = `table inet filter {
	chain input { type filter hook input priority 0; meta l4proto { tcp, udp } drop comment "closed"; }
	chain forward { type filter hook forward priority 0; meta l4proto { tcp, udp } drop comment "closed"; }
}`

var _ = Describe("a rule in the wrong namespace", func() {
	It("where no packet passes isolates nobody", func(ctx SpecContext) {
		o, bystander := beside()
		Expect(bystander.Nft(everywhere)).To(Succeed())
		Expect(o.client).NotTo(probes.BeIsolatedFrom(o.server, web, dns).WithContext(ctx))
		Expect(o.client).NotTo(probes.BeIsolatedFrom(o.server, web, dns).At("bystander").By("closed").WithContext(ctx))
		o.reaches(ctx, all...)

		By("having it where packets pass, as the control")
		Expect(o.fw.Nft(everywhere)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "closed", web, dns)
	})

	It("is told from one of the same name where it is meant to be", func(ctx SpecContext) {
		o, bystander := beside()
		Expect(bystander.Nft(everywhere)).To(Succeed())
		Expect(o.server.Nft(everywhere)).To(Succeed())
		for _, r := range watch(ctx, o.client, o.server, web, dns) {
			noVerdict(probes.BeIsolatedFrom(o.server).At("fw").By("closed"), r, "was dropped at server", "not at fw")
			noVerdict(probes.BeIsolatedFrom(o.server).At("bystander").By("closed"), r, "was dropped at server", "not at bystander")
			Expect(r).To(probes.BeIsolatedFrom(o.server).At("server").By("closed"))
		}

		By("having it where it is meant to be, as the control")
		Expect(o.fw.Nft(everywhere)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "closed", web, dns)
	})

	It("in another lab's node of the same name isolates nobody", func(ctx SpecContext) {
		closed := ruled(atFw, everywhere)
		open := up()
		Expect(open.client).NotTo(probes.BeIsolatedFrom(open.server, web, dns).At("fw").By("closed").WithContext(ctx))
		isolated(ctx, closed.client, closed.server, "fw", evidence.Drop, "closed", web, dns)
	})
})
