package nat_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// home is a network behind a router, of which those outside know nothing.
//
//	web --+             +-- site
//	      lan -- r -- wan
//	pc ---+             +-- other
type home struct{ web, pc, r, site, other *harness.Node }

// Addresses that nobody is given by the plan.
var (
	extra    = []netip.Addr{netip.MustParseAddr("10.0.9.77"), netip.MustParseAddr("fd00:9::77")}
	extras   = []string{"10.0.9.77/32", "fd00:9::77/128"}
	families = []string{"over IPv4", "over IPv6"}
)

// homeOf is one with translations, in which everybody has a service at ports 80 and 81.
func homeOf(translate func(lan, wan *topo.Segment) []topo.NAT) home {
	GinkgoHelper()
	return homeWith(nil, translate)
}

// homeWith is one whose router has further addresses outside.
func homeWith(also []string, translate func(lan, wan *topo.Segment) []topo.NAT) home {
	GinkgoHelper()
	network := topo.New("home")
	lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
	network.Host("web", lan)
	network.Host("pc", lan)
	network.Host("site", wan).NoRoutes()
	network.Host("other", wan).NoRoutes()
	network.Router("r", lan, wan.Also(also...)).NAT(translate(lan, wan)...)
	lab := up(network)
	h := home{lab.Node("web"), lab.Node("pc"), lab.Node("r"), lab.Node("site"), lab.Node("other")}
	for _, node := range lab.Nodes() {
		serve(node, 80, 81)
	}
	return h
}

func none(_, _ *topo.Segment) []topo.NAT { return nil }

var _ = Describe("without translation", func() {
	It("those inside are not answered: nobody outside knows a way to them", func(ctx SpecContext) {
		h := homeOf(none)
		for _, addr := range of(h.site, "wan") {
			unanswered(h.web, addr, 80)
		}
		Expect(h.web).To(probes.BeUnansweredBy(h.site, probes.ICMP()).At("site").Because(evidence.NoRoute).WithContext(ctx))
		Expect(says(h.r, of(h.site, "wan")[0], 80)).To(Equal(answer(h.site, of(h.r, "wan")[0])))
	})
})

var _ = Describe("masquerading", func() {
	masquerade := func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.Masquerade(wan)} }

	It("gives all that leave the router's address there, and each its own answer", func(ctx SpecContext) {
		h := homeOf(masquerade)
		for i, addr := range of(h.site, "wan") {
			By(families[i])
			reaches(ctx, h.web, addr, 80, h.site, of(h.r, "wan")[i], onTheWayOut)
			reaches(ctx, h.pc, addr, 80, h.site, of(h.r, "wan")[i], onTheWayOut)
		}
		Expect(h.web).To(probes.Reach(h.site, probes.ICMP(), probes.TCP(80)).WithContext(ctx))
	})

	It("tells two apart that ask from the same port", func() {
		h := homeOf(masquerade)
		for i, addr := range of(h.site, "wan") {
			By(families[i])
			sees := listen(h.site, addr, 0)
			to := netip.MustParseAddrPort(sees.LocalAddr().String())
			var peers []netip.AddrPort
			for _, node := range []*harness.Node{h.web, h.pc} {
				conn := listen(node, of(node, "lan")[i], 5000)
				send(conn, to, node.Name())
				text, peer := receive(sees)
				Expect(text).To(Equal(node.Name()))
				Expect(peer.Addr()).To(Equal(of(h.r, "wan")[i]))
				peers = append(peers, peer)
				send(sees, peer, "for "+node.Name())
				text, peer = receive(conn)
				Expect(text).To(Equal("for " + node.Name()))
				Expect(peer).To(Equal(to))
			}
			Expect(peers[0].Port()).NotTo(Equal(peers[1].Port()))
		}
	})

	It("lets nobody in", func(ctx SpecContext) {
		h := homeOf(masquerade)
		for _, addr := range of(h.web, "lan") {
			unanswered(h.site, addr, 80)
		}
		for i, addr := range of(h.r, "wan") {
			Expect(says(h.site, addr, 80)).To(Equal(answer(h.r, of(h.site, "wan")[i])), "the router itself answers")
		}
		Expect(h.site).To(probes.BeIsolatedFrom(h.web, probes.TCP(80)).At("site").Because(evidence.NoRoute).WithContext(ctx))
	})
})

var _ = Describe("a source that was chosen", func() {
	It("is what those outside see, of its family alone", func(ctx SpecContext) {
		h := homeWith(extras, func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.SNAT(wan, extra[0].String()), topo.SNAT(wan, extra[1].String())}
		})
		for i, addr := range of(h.site, "wan") {
			By(families[i])
			reaches(ctx, h.web, addr, 80, h.site, extra[i], onTheWayOut)
		}
		Expect(h.web).To(probes.Reach(h.site, probes.ICMP()).TranslatedBy("r").WithContext(ctx))
	})

	It("leaves the other family as it is", func() {
		h := homeWith(extras, func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.SNAT(wan, extra[0].String())} })
		Expect(says(h.web, of(h.site, "wan")[0], 80)).To(Equal(answer(h.site, extra[0])))
		unanswered(h.web, of(h.site, "wan")[1], 80)
	})
})

var _ = Describe("a forwarded port", func() {
	// 8080 goes to port 80 of web, 8081 and 8082 to those of pc.
	forward := func(_, wan *topo.Segment) (all []topo.NAT) {
		for _, protocol := range protocols {
			all = append(all,
				topo.DNAT(wan, protocol+"/8080", "10.0.1.1:80"), topo.DNAT(wan, protocol+"/8080", "[fd00:1::1]:80"),
				topo.DNAT(wan, protocol+"/8081-8082", "10.0.1.2:81"), topo.DNAT(wan, protocol+"/8081-8082", "[fd00:1::2]:81"),
				topo.DNAT(wan, protocol+"/81", "10.0.1.1"), topo.DNAT(wan, protocol+"/81", "fd00:1::1"))
		}
		return append(all, topo.Masquerade(wan))
	}

	It("is answered by whom it leads to, who sees who asks", func(ctx SpecContext) {
		h := homeOf(forward)
		for i, addr := range of(h.r, "wan") {
			By(families[i])
			asker := of(h.site, "wan")[i]
			reaches(ctx, h.site, addr, 8080, h.web, asker, onTheWayIn)
			Expect(says(h.site, addr, 8081)).To(Equal(answer(h.pc, asker)))
			reaches(ctx, h.site, addr, 8082, h.pc, asker, onTheWayIn)
			Expect(says(h.site, addr, 81)).To(Equal(answer(h.web, asker)), "the same port")
			Expect(says(h.site, addr, 80)).To(Equal(answer(h.r, asker)), "another port is the router's")
			unanswered(h.site, addr, 8083)
		}
	})

	It("says who answered", func(ctx SpecContext) {
		h := homeOf(forward)
		Expect(h.site).To(probes.Reach(h.r.On("wan"), probes.TCP(8080), probes.UDP(8080)).AnsweredBy("web").WithContext(ctx))
		Expect(h.site).To(probes.Reach(h.r.On("wan"), probes.TCP(8081)).AnsweredBy("pc").WithContext(ctx))
		Expect(h.site).To(probes.Reach(h.r.On("wan"), probes.TCP(80)).WithContext(ctx))
		holds, err := probes.Reach(h.r.On("wan"), probes.TCP(8080)).AnsweredBy("pc").WithContext(ctx).Match(h.site)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("web")))
	})

	It("is of those who come in there alone", func() {
		h := homeOf(forward)
		for _, addr := range of(h.r, "lan") {
			unanswered(h.pc, addr, 8080)
		}
	})

	It("is closed by a rule behind it, which is named", func(ctx SpecContext) {
		h := homeOf(forward)
		Expect(h.r.Nft(`table inet filter { chain forward { type filter hook forward priority 0; policy accept;
			iifname "wan" ct status dnat tcp dport 80 drop comment "closed"
		}; }`)).To(Succeed())
		Expect(h.site).To(probes.Reach(h.r.On("wan"), probes.TCP(8081)).AnsweredBy("pc").WithContext(ctx))
		for i, addr := range of(h.r, "wan") {
			By(families[i])
			Expect(h.site).To(probes.MustMatter(probes.BeIsolatedFrom(addr, probes.TCP(8080))).At("r").By("closed").WithContext(ctx))
			Expect(connect(h.site, "tcp", netip.AddrPortFrom(addr, 8080), stays)).To(BeNil())
			Expect(connect(h.site, "tcp", netip.AddrPortFrom(addr, 8081), comes)).NotTo(BeNil())
		}
	})
})

var _ = Describe("one address for one", func() {
	It("stands in both ways", func(ctx SpecContext) {
		h := homeWith(extras, func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.OneToOne(wan, extra[0].String(), "10.0.1.1"), topo.OneToOne(wan, extra[1].String(), "fd00:1::1")}
		})
		for i, addr := range of(h.site, "wan") {
			By(families[i])
			reaches(ctx, h.site, extra[i], 80, h.web, addr, onTheWayIn)
			reaches(ctx, h.web, addr, 80, h.site, extra[i], onTheWayOut)
			unanswered(h.pc, addr, 80)
			own := connect(h.site, "tcp", netip.AddrPortFrom(of(h.r, "wan")[i], 80), comes)
			Expect(own).NotTo(BeNil())
			Expect(ask(own, comes)).To(Equal(answer(h.r, addr)), "the router's own is its own")
			Expect(h.site).To(probes.Reach(extra[i], probes.ICMP(), probes.TCP(80)).AnsweredBy("web").WithContext(ctx))
		}
	})
})

var _ = Describe("a redirect", func() {
	redirect := func(lan, wan *topo.Segment) []topo.NAT {
		return []topo.NAT{topo.Redirect(lan, "tcp/80", 81), topo.Redirect(lan, "udp/80", 81), topo.Masquerade(wan)}
	}

	It("leads to the router, whomever is asked", func(ctx SpecContext) {
		h := homeOf(redirect)
		for i, addr := range of(h.site, "wan") {
			By(families[i])
			reaches(ctx, h.web, addr, 80, h.r, of(h.web, "lan")[i], onTheWayIn)
			Expect(says(h.web, of(h.other, "wan")[i], 80)).To(Equal(answer(h.r, of(h.web, "lan")[i])))
			reaches(ctx, h.web, addr, 81, h.site, of(h.r, "wan")[i], onTheWayOut) // another port is the site's
			Expect(says(h.web, of(h.pc, "lan")[i], 80)).To(Equal(answer(h.pc, of(h.web, "lan")[i])), "a neighbour is not behind it")
		}
		holds, err := probes.Reach(h.site, probes.TCP(80)).WithContext(ctx).Match(h.web)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("answered by r")))
		Expect(h.web).To(probes.Reach(h.site, probes.TCP(81)).WithContext(ctx))
	})
})
