package overlap_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

var _ = Describe("a gateway between two owners of one address", func() {
	var a, b, gw *harness.Node
	server := addrs("10.0.0.2", "fd00::2")

	BeforeEach(func() {
		network := topo.New("tables")
		toA, toB := network.Wire("to-a", "10.1.0.0/24", "fd01::/64"), network.Wire("to-b", "10.2.0.0/24", "fd02::/64")
		siteA, siteB := network.Wire("site-a", "10.0.0.0/24", "fd00::/64"), network.Wire("site-b", "10.0.0.0/24", "fd00::/64")
		gateway := network.Router("gw", toA.At("10.1.0.1", "fd01::1"), toB.At("10.2.0.1", "fd02::1"),
			siteA.At("10.0.0.1", "fd00::1"), siteB.At("10.0.0.1", "fd00::1"))
		for _, prefix := range []string{"10.0.0.0/24", "fd00::/64"} {
			gateway.Route(topo.Route{To: prefix, Dev: siteA, Table: 101}, topo.Route{To: prefix, Dev: siteB, Table: 102})
		}
		network.Host("client-a", toA).Route(topo.Route{Via: "10.1.0.1"}, topo.Route{Via: "fd01::1"})
		network.Host("client-b", toB).Route(topo.Route{Via: "10.2.0.1"}, topo.Route{Via: "fd02::1"})
		network.Host("server-a", siteA.At("10.0.0.2", "fd00::2"))
		network.Host("server-b", siteB.At("10.0.0.2", "fd00::2"))
		lab := harness.Up(GinkgoTB(), network)
		a, b, gw = lab.Node("client-a"), lab.Node("client-b"), lab.Node("gw")
		probes.Serve(GinkgoTB(), lab.Node("server-a"), web)
		probes.Serve(GinkgoTB(), lab.Node("server-b"), web)
	})

	It("is told by the plan to be ambiguous", func() {
		for _, prefix := range []string{"10.0.0.0/24", "fd00::/64"} {
			Expect(gw.Lab().Plan().Notes).To(ContainElement(ContainSubstring("%s of segment site-b", prefix)))
		}
	})

	It("reaches one of them only, without rules that choose a table", func(ctx SpecContext) {
		for _, addr := range server {
			first := ask(ctx, a, addr, web)
			Expect(first).To(Or(provenBy("server-a"), provenBy("server-b")))
			Expect(ask(ctx, b, addr, web)).To(provenBy(first.By))
		}
	})

	It("reaches each by a table of its own", func(ctx SpecContext) {
		for table, from := range map[int]string{101: "to-a", 102: "to-b"} {
			for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
				rule := netlink.NewRule()
				rule.Family, rule.Table, rule.IifName, rule.Priority = family, table, from, table
				Expect(gw.Netlink().RuleAdd(rule)).To(Succeed())
			}
		}
		for _, addr := range server {
			Expect(ask(ctx, a, addr, web)).To(provenBy("server-a"))
			Expect(ask(ctx, b, addr, web)).To(provenBy("server-b"))
		}
	})
})
