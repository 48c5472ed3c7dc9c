package causes_test

import (
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// overConnections says that a service's connections are made and that nothing is said over
// them, by a plain socket of a test's own.
func overConnections(ctx SpecContext, f farm) {
	GinkgoHelper()
	conn := dial(ctx, f.client, "tcp", server4, 80)
	Expect(ask(conn)).To(BeEmpty())
}

var _ = Describe("data that dies after a handshake", func() {
	DescribeTable("is dropped by a rule that is named", func(ctx SpecContext, rules, text string, leg evidence.Role, cell string) {
		f := newFarm()
		f.rule(bothFamilies(rules))
		overConnections(ctx, f)
		p := web.Within(silence)
		if leg == evidence.Answer {
			p = web // who answers is to have its turn
		}
		for _, r := range watch(ctx, f.client, f.server, p) {
			Expect(r).To(HaveField("Outcome", probes.Silent))
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Drop), HaveField("Node", "fw"), HaveField("Leg", leg), HaveField("Policy", true))))
			Expect(r.Cause.String()).To(And(HavePrefix("the connection was made; "), ContainSubstring(text)))
			Expect(r).NotTo(probes.BeIsolatedFrom(f.server))
			Expect(r).NotTo(probes.BeUnansweredBy(f.server))
		}
		Expect(f.client).NotTo(probes.BeIsolatedFrom(f.server, p).WithContext(ctx))
		Expect(f.client).NotTo(probes.BeUnansweredBy(f.server, p).WithContext(ctx))
		noVerdict(probes.Reach(f.server, p).WithContext(ctx), f.client, "the connection was made", text)
		Expect(cellOf(ctx, f.client, f.server, true, p)).To(Equal(cell))

		lift(f.fw)
		f.reaches(ctx, web)
		Expect(ask(dial(ctx, f.client, "tcp", server4, 80))).To(Equal("server"))
	},
		Entry("where it is sent", noData, "what was sent over it was dropped at fw by rule", evidence.Request, "data:drop@fw"),
		Entry("where it is pushed", `table FAMILY cut { chain forward { type filter hook forward priority 0; iifname "lan" tcp dport 80 tcp flags & psh == psh drop; }; }`,
			"what was sent over it was dropped at fw by rule", evidence.Request, "data:drop@fw"),
		Entry("where it is the third packet", twoPackets, "what was sent over it was dropped at fw by rule", evidence.Request, "data:drop@fw"),
		Entry("where the last packet of the handshake is", noLastACK, "what was sent over it was dropped at fw by rule", evidence.Request, "data:drop@fw"),
		Entry("where it comes back", noAnswer, "what came back over it was dropped at fw by rule", evidence.Answer, "answer:drop@fw"),
	)

	It("is reset by a rule that is named", func(ctx SpecContext) {
		f := newFarm()
		f.rule(bothFamilies(`table FAMILY cut { chain forward { type filter hook forward priority 0; iifname "lan" tcp dport 80 tcp flags & psh == psh reject with tcp reset; }; }`))
		for _, r := range watch(ctx, f.client, f.server, web) {
			Expect(r).To(And(HaveField("Outcome", probes.Rejected), HaveField("By", "fw")))
			Expect(r.Cause.String()).To(HavePrefix("the connection was made; what was sent over it was rejected at fw by rule"))
			Expect(r).NotTo(probes.BeIsolatedFrom(f.server))
		}
		Expect(cellOf(ctx, f.client, f.server, true, web)).To(Equal("data:reject@fw"))
	})

	It("is no data where a proxy shook hands for nobody", func(ctx SpecContext) {
		f := unserved(bothFamilies(synproxy + "\n" + noneBehind))
		service := hears(ctx, f.server, 80)
		p := web.Within(silence)
		for _, r := range watch(ctx, f.client, f.server, p) {
			Expect(r.Cause).NotTo(HaveValue(HaveField("Connected", true)))
		}
		Expect(service.came()).To(BeZero())
	})
})
