package nat_test

import (
	"net/netip"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A hairpin is a forwarded port that somebody on the service's own link asks for.
var _ = Describe("a hairpin", func() {
	forward := func(lan *topo.Segment) (all []topo.NAT) {
		for _, protocol := range protocols {
			all = append(all, topo.DNAT(lan, protocol+"/8080", "10.0.1.1:80"), topo.DNAT(lan, protocol+"/8080", "[fd00:1::1]:80"))
		}
		return all
	}

	It("is answered past the router, from where nobody was asked, without a source of the router's", func(ctx SpecContext) {
		h := homeOf(func(lan, _ *topo.Segment) []topo.NAT { return forward(lan) })
		for i, addr := range of(h.r, "lan") {
			By(families[i])
			unanswered(h.pc, addr, 8080)
			conn := listen(h.pc, of(h.pc, "lan")[i], 0)
			send(conn, netip.AddrPortFrom(addr, 8080), "who?")
			text, from := receive(conn)
			Expect(text).To(Equal(answer(h.web, of(h.pc, "lan")[i])))
			Expect(from).To(Equal(netip.AddrPortFrom(of(h.web, "lan")[i], 80)), "the web answers as itself")
			result, err := probes.Watch(ctx, h.pc, addr, probes.UDP(8080))
			Expect(err).NotTo(HaveOccurred())
			Expect(result.Cause).NotTo(BeNil())
			Expect(result.Cause.Kind).To(Equal(evidence.OtherAddr), result.String())
		}
	})

	It("is answered with one", func(ctx SpecContext) {
		h := homeOf(func(lan, _ *topo.Segment) []topo.NAT { return append(forward(lan), topo.Masquerade(lan)) })
		for i, addr := range of(h.r, "lan") {
			By(families[i])
			reaches(ctx, h.pc, addr, 8080, h.web, addr, onTheWayIn, onTheWayOut) // the web sees the router
			Expect(says(h.web, addr, 8080)).To(Equal(answer(h.web, addr)), "also when it asks for itself")
			Expect(says(h.pc, of(h.web, "lan")[i], 80)).To(Equal(answer(h.web, of(h.pc, "lan")[i])), "asked by its own address it does not")
		}
		Expect(h.pc).To(probes.Reach(h.r.On("lan"), probes.TCP(8080)).AnsweredBy("web").WithContext(ctx))
	})
})
