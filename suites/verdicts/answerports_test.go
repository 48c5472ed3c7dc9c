package verdicts_test

import (
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// answered says whether a plain socket that is bound to a port gets an answer.
func answered(ctx SpecContext, from *harness.Node, port uint16, to netip.AddrPort) bool {
	GinkgoHelper()
	conn, err := from.ListenPacket(ctx, "udp", netip.AddrPortFrom(netip.Addr{}, port))
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(conn.Close()).To(Succeed()) }()
	_, err = conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(to))
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.SetReadDeadline(time.Now().Add(silence))).To(Succeed())
	_, _, err = conn.ReadFrom(make([]byte, 64))
	return err == nil
}

var _ = Describe("the asker's port is where an answer goes", func() {
	// joined is pc and site, with two routers between; what fw has decides.
	joined := func(rules string) *site {
		GinkgoHelper()
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("joined")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24")
		network.Host("pc", lan)
		network.Host("site", wan.At(site4.String())).NoRoutes()
		network.Router("fw", lan, wan.At("10.0.9.2")).Nft(drop(rules))
		network.Router("r2", lan, wan.At("10.0.9.3"))
		s := (&site{network: network}).up()
		route(s.node("site"), 254, "10.0.1.0/24", "wan", "10.0.9.2")
		return s
	}
	port53 := netip.AddrPortFrom(site4, 53)

	DescribeTable("and a program may choose it, so that where another is answered none is unanswered", func(ctx SpecContext, rules string, port uint16, change func(*harness.Node)) {
		s := joined(rules)
		if change != nil {
			change(s.node("site"))
		}
		datagrams(s.node("site"), 53, 0)
		Expect(holds(probes.BeUnansweredBy(s.node("site"), probes.UDP(53).Within(silence)).WithContext(ctx), s.node("pc"))).To(BeFalse())
		if port != 0 {
			Expect(answered(ctx, s.node("pc"), port, port53)).To(BeTrue(), "the judge: a plain socket")
			Expect(answered(ctx, s.node("pc"), port+1, port53)).To(BeFalse(), "the judge: another")
		}
	},
		Entry("by a rule that lets one port by", `iifname "wan" udp dport != 7000 drop`, uint16(7000), nil),
		Entry("by a range", `iifname "wan" udp dport 1024-60000 drop; iifname "wan" udp dport 60002-65535 drop`, uint16(60001), nil),
		Entry("by policy routing at the target", `iifname "wan" drop`, uint16(6000), func(site *harness.Node) {
			rule := netlink.NewRule()
			rule.IPProto, rule.Dport, rule.Table = unix.IPPROTO_UDP, netlink.NewRulePortRange(6000, 6000), 100
			Expect(site.Netlink().RuleAdd(rule)).To(Succeed())
			route(site, 100, "10.0.1.0/24", "wan", "10.0.9.3")
		}),
		Entry("by a multipath route of the target", `iifname "wan" drop`, uint16(0), func(site *harness.Node) {
			Expect(site.SetSysctl("net.ipv4.fib_multipath_hash_policy", "1")).To(Succeed())
			link, err := site.Netlink().LinkByName("wan")
			Expect(err).NotTo(HaveOccurred())
			hop := func(via string) *netlink.NexthopInfo {
				return &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr(via).AsSlice()}
			}
			Expect(site.Netlink().RouteReplace(&netlink.Route{Dst: mustCIDR("10.0.1.0/24"), MultiPath: []*netlink.NexthopInfo{hop("10.0.9.2"), hop("10.0.9.3")}})).To(Succeed())
		}),
	)

	It("and it is unanswered where every port is", func(ctx SpecContext) {
		s := joined(`iifname "lan" tcp dport 22 accept; iifname "wan" udp dport 7000-8000 drop comment "some"; iifname "wan" drop comment "the rest"`)
		datagrams(s.node("site"), 53, 0)
		Expect(s.node("pc")).To(probes.BeUnansweredBy(s.node("site"), probes.UDP(53).Within(silence)).At("fw").By("some", "the rest").WithContext(ctx))
	})
})
