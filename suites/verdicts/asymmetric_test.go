package verdicts_test

import (
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// echoing is a plain UDP service that sends back what it is sent.
func echoing(node *harness.Node, port uint16) *service {
	GinkgoHelper()
	return packets(node, netip.AddrPortFrom(netip.Addr{}, port), func(conn net.PacketConn, from net.Addr, text []byte) {
		_, _ = conn.WriteTo(text, from)
	})
}

// asymmetric is the office where what pc sends goes by open, and site's answers by fw.
func asymmetric(rules string) *site {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.IPv6)
	s := &site{network: topo.New("asymmetric")}
	s.lan, s.wan = s.network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), s.network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
	s.pc = s.network.Host("pc", s.lan).NoRoutes().Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.1.3"}, topo.Route{To: "fd00:9::/64", Via: "fd00:1::3"})
	s.site = s.network.Host("site", s.wan).NoRoutes().Route(topo.Route{To: "10.0.1.0/24", Via: "10.0.9.2"}, topo.Route{To: "fd00:1::/64", Via: "fd00:9::2"})
	s.fw = s.network.Router("fw", s.lan, s.wan).Nft(rules)
	s.network.Router("open", s.lan, s.wan)
	return s.up()
}

var _ = Describe("an answer at a node that did not see the request", func() {
	for name, serve := range map[string]func(*harness.Node) *service{
		"that has the probe's own words": func(n *harness.Node) *service { return echoing(n, 7) },
		"that has its own words":         func(n *harness.Node) *service { return datagrams(n, 7, 0) },
		"that comes later":               func(n *harness.Node) *service { return datagrams(n, 7, 20*time.Millisecond) },
	} {
		DescribeTable(name+" is an answer", func(ctx SpecContext, rules string) {
			s := asymmetric(rules)
			pc, site := s.node("pc"), s.node("site")
			heard := serve(site)
			Expect(pc).To(probes.BeUnansweredBy(site, echo).At("fw").By("no answers").WithContext(ctx))
			Eventually(heard.heard).Should(HaveLen(2), "the judge: one of each family")
			Expect(holds(probes.BeIsolatedFrom(site, echo).WithContext(ctx), pc)).To(BeFalse())
			result, err := probes.Watch(ctx, pc, site, echo)
			Expect(err).NotTo(HaveOccurred())
			for _, r := range result.All() {
				for _, seen := range r.Timeline {
					Expect(seen.Node == "fw").To(Equal(seen.Role == evidence.Answer && seen.Node != "site" && seen.Node != "pc"), "%v", seen)
				}
			}
			matrix, err := probes.WatchSurvey(ctx, s.lab, echo)
			Expect(err).NotTo(HaveOccurred())
			Expect(matrix.Cell("pc", "site")).To(Equal("answer:drop@fw"))
		},
			Entry("dropped in forward", drop(`iifname "wan" drop comment "no answers"`)),
			Entry("dropped before routing", `table inet f { chain c { type filter hook prerouting priority 0; iifname "wan" udp sport 7 drop comment "no answers"; }; }`),
		)
	}

	It("also where its addresses were translated", func(ctx SpecContext) {
		s := asymmetric(`table ip n { chain pre { type filter hook prerouting priority -300; udp sport 7 udp sport set 53; }; }
			table inet f { chain forward { type filter hook forward priority 0; oifname "lan" drop comment "no answers"; }; }`)
		heard := echoing(s.node("site"), 7)
		Expect(s.node("pc")).To(probes.BeUnansweredBy(s.node("site"), echo).At("fw").By("no answers").WithContext(ctx))
		Eventually(heard.heard).Should(HaveLen(2))
	})

	It("and one that comes is one", func(ctx SpecContext) {
		s := asymmetric(drop(`tcp dport 9999 drop`))
		echoing(s.node("site"), 7)
		Expect(s.node("pc")).To(probes.Reach(s.node("site"), echo).WithContext(ctx))
		Expect(holds(probes.BeUnansweredBy(s.node("site"), echo).WithContext(ctx), s.node("pc"))).To(BeFalse())
	})
})
