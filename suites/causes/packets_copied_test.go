package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The office with a second way: fw mirrors to ids, which leads to the server by a link
// of its own.
func twoWays() (o office, ids *harness.Node) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	network := topo.New("ways")
	lan, dmz := network.Wire("lan", lan4.String()), network.Wire("dmz", dmz4.String())
	mirror, back := network.Wire("mirror", "10.0.7.0/24"), network.Wire("back", "10.0.8.0/24")
	network.Host("client", lan)
	network.Host("server", dmz, back)
	network.Router("fw", lan, dmz, mirror.At("10.0.7.1"))
	network.Router("ids", mirror.At("10.0.7.2"), back.At("10.0.8.2")).Route(topo.Route{To: "10.0.2.1/32", Via: "10.0.8.1"})
	lab := harness.Up(GinkgoTB(), network)
	o = office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
	probes.Serve(GinkgoTB(), o.server, dns)
	return o, lab.Node("ids")
}

// told are a result's packets in words.
func told(r probes.Result) (words []string) {
	for _, p := range r.Packets {
		words = append(words, p.String())
	}
	return words
}

var _ = Describe("each packet of a probe", func() {
	const shut = `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }`

	It("is followed to its end, and a copy beside it", func(ctx SpecContext) {
		o, ids := twoWays()
		mirrored(o.fw, "10.0.7.2", "mirror")
		Expect(ids.Nft(shut)).To(Succeed())
		answered, err := probes.Watch(ctx, o.client, server4, dns)
		Expect(err).NotTo(HaveOccurred())
		Expect(told(answered)).To(ConsistOf(
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, let in",
			"request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter forward",
			"answer: out at server/dmz, in at fw/dmz, out at fw/lan, in at client/lan, and what became of it was not seen",
		))
		Expect(o.client).NotTo(probes.BeIsolatedFrom(o.server.On("dmz"), dns).WithContext(ctx))

		By("closing the packet's way as well")
		Expect(o.fw.Nft(shut)).To(Succeed())
		Expect(o.client).To(probes.BeIsolatedFrom(o.server.On("dmz"), dns).At("fw").WithContext(ctx))
	})

	It("is told, when the copy alone arrives", func(ctx SpecContext) {
		o, _ := twoWays()
		mirrored(o.fw, "10.0.7.2", "mirror")
		Expect(o.fw.Nft(shut)).To(Succeed())
		r, err := probes.Watch(ctx, o.client, server4, dns.Within(silence))
		Expect(err).NotTo(HaveOccurred())
		Expect(told(r)).To(ContainElements(
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
			"request copied at fw: out at fw/mirror, in at ids/mirror, out at ids/back, in at server/back, let in",
		))
		Expect(o.client).NotTo(probes.BeIsolatedFrom(o.server.On("dmz"), dns).WithContext(ctx))
	})
})
