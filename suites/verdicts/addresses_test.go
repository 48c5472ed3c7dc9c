package verdicts_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// closing is a rule set at fw that closes one address to pings and the like.
func closing(addr string) string {
	return drop(`ip daddr ` + addr + ` drop comment "closed"`)
}

var _ = Describe("no address stands for the node", func() {
	It("nor does the nearest, where another is open", func(ctx SpecContext) {
		s := planned()
		mgmt := s.network.Switch("mgmt", "10.0.4.0/24")
		s.network.Router("fw2", s.lan, mgmt)
		s.network.Host("box", s.wan, mgmt)
		s.up()
		pc, box := s.node("pc"), s.node("box")
		nearest, ok := s.lab.Plan().Nearest("pc", "box", false)
		Expect(ok).To(BeTrue())
		for _, router := range []string{"fw", "fw2"} {
			Expect(s.node(router).Nft(closing(nearest.String()))).To(Succeed())
		}
		notIsolated(ctx, pc, box, icmp)
		for _, router := range []string{"fw", "fw2"} {
			Expect(s.node(router).Nft(`table inet closed { chain forward { type filter hook forward priority 10; drop comment "all closed"; }; }`)).To(Succeed())
		}
		Expect(pc).To(probes.BeIsolatedFrom(box, icmp).WithContext(ctx))
	})

	It("nor do those of the plan, where the node has got another", func(ctx SpecContext) {
		s := ruled(closing("10.0.9.1"))
		pc, site := s.node("pc"), s.node("site")
		Expect(pc).To(probes.BeIsolatedFrom(site, icmp, ssh).At("fw").By("closed").WithContext(ctx))
		add(site, "wan", "10.0.9.200/24")
		notIsolated(ctx, pc, site, icmp)
	})

	It("nor does that of the segment, where a further or a loopback address is open", func(ctx SpecContext) {
		s := planned()
		s.site = s.network.Host("far", s.wan.Also("10.0.9.77/24"))
		s.network.Host("looped", s.wan).Loopback("192.0.2.1/32")
		s.fw.Nft(drop(`ip daddr { 10.0.9.3, 10.0.9.4 } drop comment "closed"`))
		s.up()
		pc := s.node("pc")
		for _, name := range []string{"far", "looped"} {
			nearest, ok := s.lab.Plan().Nearest("pc", name, false)
			Expect(ok).To(BeTrue())
			Expect(pc).To(probes.BeIsolatedFrom(nearest, ssh).WithContext(ctx).Because(evidence.Drop), "control at the nearest: %s", name)
			notIsolated(ctx, pc, s.node(name), icmp)
		}
	})

	It("nor the routed, where the link-local is open on a shared link", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("shared")
		lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
		network.Host("pc", lan)
		network.Host("peer", lan).Nft(`table inet filter { chain input { type filter hook input priority 0;
			icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; ip6 daddr fe80::/10 accept; drop comment "closed"; }; }`)
		s := (&site{network: network}).up()
		notIsolated(ctx, s.node("pc"), s.node("peer"), icmp)
	})

	It("nor the asker's first, where its second may pass", func(ctx SpecContext) {
		s := ruled(drop(`ip saddr 10.0.1.1 drop comment "closed"`))
		pc, site := s.node("pc"), s.node("site")
		Expect(pc).To(probes.BeIsolatedFrom(site, icmp).At("fw").By("closed").WithContext(ctx))
		add(pc, "lan", "10.0.1.50/24")
		notIsolated(ctx, pc, site, icmp)
	})

	DescribeTable("nor those of the asker's interfaces, where a route of type local has others", func(ctx SpecContext, local, table, own, to string) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("anyip")
		lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
		network.Host("pc", lan)
		network.Host("site", wan)
		network.Router("fw", lan, wan).Nft(drop(`ip saddr 10.0.1.0/24 drop comment "closed"; ip6 saddr { fd00:1::/64, fe80::/10 } drop comment "closed"`))
		s := (&site{network: network}).up()
		pc, target := s.node("pc"), netip.MustParseAddr(to)
		Expect(pc).To(probes.BeIsolatedFrom(target, echo).At("fw").By("closed").WithContext(ctx), "the control")

		out, err := pc.Command("ip", "route", "add", "local", local, "dev", "lo", "table", table).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		heard := datagrams(s.node("site"), 7, -1)
		sending{
			source: netip.AddrPortFrom(netip.MustParseAddr(own), 0), to: netip.AddrPortFrom(target, 7),
			before: func(fd int) error { // ip(7), ipv6(7)
				if target.Is6() {
					return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
				}
				return nil
			},
		}.send(pc)
		Eventually(func() []string { return plain(heard) }).Should(HaveLen(1), "the judge")
		notIsolated(ctx, pc, target, echo)
	},
		Entry("IPv4", "192.0.2.0/24", "local", "192.0.2.7", "10.0.9.1"),
		Entry("IPv6", "2001:db8::/64", "local", "2001:db8::7", "fd00:9::1"),
		Entry("IPv4, in the table main", "192.0.2.0/24", "main", "192.0.2.7", "10.0.9.1"),
		Entry("IPv6, in the table main", "2001:db8::/64", "main", "2001:db8::7", "fd00:9::1"),
		Entry("IPv4, one address, in the table main", "192.0.2.7/32", "main", "192.0.2.7", "10.0.9.1"),
	)

	It("and one to which there is no way does not keep the rest from isolating", func(ctx SpecContext) {
		s := planned()
		back := s.network.Switch("back", "10.0.6.0/24")
		s.network.Host("db", s.wan, back)
		s.pc.NoRoutes().Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.1.2"})
		s.fw.Nft(closing("10.0.9.3"))
		s.up()
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("db"), icmp, ssh).At("fw").By("closed").WithContext(ctx))
	})

	It("and two tenants with the same addresses, and nothing between, are apart", func(ctx SpecContext) {
		network := topo.New("tenants")
		for _, name := range []string{"red", "blue"} {
			lan := network.Switch(name, "10.0.0.0/24")
			network.Host(name+"-client", lan)
			network.Host(name+"-server", lan)
		}
		s := (&site{network: network}).up()
		client := s.node("red-client")
		Expect(client).To(probes.Reach(s.node("red-server"), icmp).WithContext(ctx))
		Expect(client).To(probes.BeIsolatedFrom(s.node("blue-server"), icmp, ssh).WithContext(ctx))
		Expect(client).To(probes.BeIsolatedFrom(s.node("blue-server"), icmp).Because("nopath").WithContext(ctx))
		matrix, err := probes.WatchSurvey(ctx, s.lab, icmp)
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("red-client", "red-server")).To(Equal("ok"))
		Expect(matrix.Cell("red-client", "blue-server")).To(Equal("nopath"))
	})
})

// add gives a node a further address.
func add(node *harness.Node, device, prefix string) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	addr, err := netlink.ParseAddr(prefix)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().AddrAdd(link, addr)).To(Succeed())
}

var _ = Describe("two labs", func() {
	It("from one declaration are two networks, which nothing connects", func(ctx SpecContext) {
		one, two := planned().up(), planned().up()
		probes.Serve(GinkgoTB(), two.node("site"), web)
		for _, matcher := range []OmegaMatcher{
			probes.Reach(two.node("site"), web).WithContext(ctx),
			probes.BeIsolatedFrom(two.node("site"), web).WithContext(ctx),
			probes.BeIsolatedFrom(two.node("site").On("wan"), icmp).WithContext(ctx),
			probes.BeUnansweredBy(two.node("site"), icmp).WithContext(ctx),
			probes.BeRefusedBy(two.node("site"), ssh).WithContext(ctx),
		} {
			ok, err := matcher.Match(one.node("pc"))
			Expect(ok).To(BeFalse())
			Expect(err).To(MatchError(ContainSubstring("two labs")))
		}
		_, err := probes.Ask(ctx, one.node("pc"), two.node("site"), icmp)
		Expect(err).To(MatchError(ContainSubstring("two labs")))
		_, err = probes.Grid{From: one.lab.Nodes(), To: []probes.Target{two.node("site")}}.Survey(ctx)
		Expect(err).To(MatchError(ContainSubstring("two labs")))
	})
})
