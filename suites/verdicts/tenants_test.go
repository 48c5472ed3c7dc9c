package verdicts_test

import (
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

// shared is two tenants with the same addresses, pc and mine on one, site on the other,
// and both, which is on the links of either.
func shared(both func(*topo.Network, ...topo.Attachment) *topo.Node) *site {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.IPv6)
	s := &site{network: topo.New("tenants")}
	s.lan, s.wan = s.network.Switch("a", "10.0.1.0/24", "fd00:1::/64"), s.network.Switch("b", "10.0.1.0/24", "fd00:1::/64")
	s.network.Host("pc", s.lan)
	s.network.Host("mine", s.lan)
	s.network.Host("other", s.wan)
	s.network.Host("site", s.wan)
	both(s.network, s.lan.At("10.0.1.9", "fd00:1::9"), s.wan.At("10.0.1.10", "fd00:1::a"))
	return s.up()
}

func jump(n *topo.Network, at ...topo.Attachment) *topo.Node { return n.Host("both", at...) }

var _ = Describe("two tenants with the same addresses, and a host on both", func() {
	// tells sends plain datagrams to the address that mine and site have, and says who heard.
	tells := func(s *site) (mine, site *service) {
		GinkgoHelper()
		mine, site = datagrams(s.node("mine"), 7, 0), datagrams(s.node("site"), 7, 0)
		for _, to := range []string{"10.0.1.2:7", "[fd00:1::2]:7"} {
			sending{to: netip.MustParseAddrPort(to)}.send(s.node("pc"))
		}
		Eventually(mine.heard).WithTimeout(5*time.Second).Should(HaveLen(2), "the judge")
		return mine, site
	}

	It("are apart, as it hands on nothing", func(ctx SpecContext) {
		s := shared(jump)
		_, heard := tells(s)
		pc, site := s.node("pc"), s.node("site")
		for _, p := range []probes.Probe{icmp, echo, web} {
			Expect(pc).To(probes.BeIsolatedFrom(site, p).Because("nopath").WithContext(ctx))
		}
		Expect(pc).To(probes.BeIsolatedFrom(site).WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
		matrix, err := probes.WatchSurvey(ctx, s.lab, icmp)
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("pc", "site")).To(Equal("nopath"))
		Expect(matrix.Cell("pc", "both")).To(Equal("ok"))
		Expect(matrix.Cell("both", "site")).NotTo(Equal("nopath"))
	})

	It("are apart as well where it was declared not to forward", func(ctx SpecContext) {
		s := shared(func(n *topo.Network, at ...topo.Attachment) *topo.Node { return n.Router("both", at...).NoForward() })
		_, heard := tells(s)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), icmp, echo).WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
	})

	DescribeTable("are not shown to be", func(ctx SpecContext, prepare func(*site)) {
		s := shared(jump)
		prepare(s)
		Expect(holds(probes.BeIsolatedFrom(s.node("site"), icmp).WithContext(ctx), s.node("pc"))).To(BeFalse())
	},
		Entry("where it forwards", func(s *site) { Expect(s.node("both").SetSysctl("net.ipv4.ip_forward", "1")).To(Succeed()) }),
		Entry("where one link of it does", func(s *site) { Expect(s.node("both").SetSysctl("net.ipv4.conf.a.forwarding", "1")).To(Succeed()) }),
		Entry("where a program there gets all packets", func(s *site) {
			w := tapped(s.node("both"), "a", unix.ETH_P_ALL)
			DeferCleanup(w.close)
		}),
		Entry("where a bridge joins its links", func(s *site) { bridged(s.node("both"), "a", "b") }),
		Entry("where a rule makes copies", func(s *site) {
			Expect(s.node("both").Nft(`table ip m { chain pre { type filter hook prerouting priority 0; udp dport 5 dup to 10.0.1.2 device "b"; }; }`)).To(Succeed())
		}),
		Entry("where a rule sends on", func(s *site) {
			Expect(s.node("both").Nft(`table netdev m { chain in { type filter hook ingress device "a" priority 0; udp dport 5 fwd to "b"; }; }`)).To(Succeed())
		}),
		Entry("where a link that the plan does not know joins them", func(s *site) {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "tap0"
			Expect(s.node("both").Do(func() error {
				return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "tap1"})
			})).To(Succeed())
			bridged(s.node("both"), "a", "tap0")
		}),
	)

	It("and a host that was meant to be the router stays a mistake", func(ctx SpecContext) {
		s := planned()
		network := topo.New("mistaken")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24")
		network.Host("pc", lan).Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.1.2"})
		network.Host("printer", lan, wan)
		network.Host("site", wan)
		s.network = network
		s.up()
		Expect(holds(probes.BeIsolatedFrom(s.node("site"), icmp).WithContext(ctx), s.node("pc"))).To(BeFalse())
	})
})

var _ = Describe("two tenants of which the asker has the target's address itself", func() {
	// mirrored are pca and sitea on one, pcb and siteb on the other, and pcb copies all that it asks of itself.
	mirrored := func(joined bool) *site {
		GinkgoHelper()
		s := &site{network: topo.New("tenants")}
		s.lan, s.wan = s.network.Switch("a", "10.0.1.0/24"), s.network.Switch("b", "10.0.1.0/24")
		s.network.Host("pca", s.lan)
		s.network.Host("sitea", s.lan)
		s.network.Host("pcb", s.wan).Nft(`table ip m { chain c { type filter hook prerouting priority -300; iifname != "b" dup to 10.0.1.2 device "b"; }; }`)
		s.network.Host("siteb", s.wan)
		if joined {
			s.network.Host("both", s.lan.At("10.0.1.9"), s.wan.At("10.0.1.10"))
		}
		s.up()
		return s
	}

	It("are apart, though it answers itself and copies of it go astray", func(ctx SpecContext) {
		s := mirrored(false)
		own, other := datagrams(s.node("pcb"), 7, 0), datagrams(s.node("pca"), 7, 0)
		sending{to: netip.MustParseAddrPort("10.0.1.1:7")}.send(s.node("pcb"))
		Eventually(own.heard).WithTimeout(soon).Should(HaveLen(1), "the judge")
		for _, p := range []probes.Probe{echo, icmp, web} {
			Expect(s.node("pcb")).To(probes.BeIsolatedFrom(s.node("pca"), p).Because("nopath").WithContext(ctx))
			Expect(s.node("pcb")).NotTo(probes.BeUnansweredBy(s.node("siteb"), icmp).WithContext(ctx), "the control")
		}
		Expect(other.heard()).To(BeEmpty(), "the judge")
	})

	It("are not said to reach each other where something joins them", func(ctx SpecContext) {
		s := mirrored(true)
		Expect(s.node("both").SetSysctl("net.ipv4.ip_forward", "1")).To(Succeed())
		other := datagrams(s.node("pca"), 7, 0)
		datagrams(s.node("pcb"), 7, 0)
		for _, p := range []probes.Probe{echo, icmp} {
			ok, err := probes.BeIsolatedFrom(s.node("pca"), p).WithContext(ctx).Match(s.node("pcb"))
			Expect(ok).To(BeFalse())
			Expect(err).To(MatchError(ContainSubstring("pca was not seen to get the request")))
		}
		Expect(other.heard()).To(BeEmpty(), "the judge")
	})
})

// bridged puts links of a node on a bridge.
func bridged(node *harness.Node, ports ...string) {
	GinkgoHelper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	h := node.Netlink()
	Expect(h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})).To(Succeed())
	bridge, err := h.LinkByName("br0")
	Expect(err).NotTo(HaveOccurred())
	Expect(h.LinkSetUp(bridge)).To(Succeed())
	for _, port := range ports {
		link, err := h.LinkByName(port)
		Expect(err).NotTo(HaveOccurred())
		Expect(h.LinkSetMaster(link, bridge)).To(Succeed())
	}
}
