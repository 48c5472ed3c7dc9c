package verdicts_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// who asks site's address from pc without a watch, and returns who is said to have answered,
// and all that is said.
func who(ctx SpecContext, s *site, p probes.Probe) (by, text string) {
	GinkgoHelper()
	result, err := probes.Ask(ctx, s.node("pc"), site4, p.Within(soon))
	Expect(err).NotTo(HaveOccurred())
	return result.By, result.String()
}

// take takes an address from a node's interface.
func take(node *harness.Node, device, addr string) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	prefix, err := netlink.ParseAddr(addr)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().AddrDel(link, prefix)).To(Succeed())
}

var _ = Describe("who has answered, by the address of the answer", func() {
	const addr = "10.0.9.1/24"
	var s *site
	services := map[string]*service{}

	// serves has a plain service answer from the address at a node that has it now.
	serves := func(node string) { services[node] = datagrams(s.node(node), 7, 0, site4) }

	BeforeEach(func() {
		s = planned()
		s.network.Host("other", s.wan)
		s.network.Host("far", s.lan)
		s.up()
		clear(services)
		serves("site")
	})

	// heard is who has read something since that was asked last.
	heard := func() (nodes []string) {
		GinkgoHelper()
		for node, s := range services {
			if len(s.heard()) > 0 {
				nodes = append(nodes, node)
			}
			s.mu.Lock()
			s.said = nil
			s.mu.Unlock()
		}
		return nodes
	}

	// moves moves the address from one node to another.
	moves := func(from, to string) {
		GinkgoHelper()
		take(s.node(from), "wan", addr)
		add(s.node(to), "wan", addr)
		forget(s.node("fw"), "wan", site4)
	}

	It("is the node that has the address now, and back again", func(ctx SpecContext) {
		for _, p := range []probes.Probe{echo, icmp} {
			by, text := who(ctx, s, p)
			Expect(by).To(Equal("site"), text)
		}
		Expect(heard()).To(ConsistOf("site"))

		moves("site", "other")
		serves("other")
		for _, p := range []probes.Probe{echo, icmp} {
			by, text := who(ctx, s, p)
			Expect(by).To(Equal("other"), text)
		}
		Expect(heard()).To(ConsistOf("other"))

		moves("other", "site")
		const main = 254
		route(s.node("site"), main, "10.0.1.0/24", "wan", "10.0.9.2") // it went with the address
		by, text := who(ctx, s, echo)
		Expect(by).To(Equal("site"), text)
		Expect(heard()).To(ConsistOf("site"))
	})

	It("is the first time, too, when it had moved before", func(ctx SpecContext) {
		moves("site", "other")
		serves("other")
		by, text := who(ctx, s, echo)
		Expect(by).To(Equal("other"), text)
		Expect(heard()).To(ConsistOf("other"))
	})

	It("is nobody where two have it, whoever answers", func(ctx SpecContext) {
		add(s.node("far"), "lo", "10.0.9.1/32")
		by, text := who(ctx, s, echo)
		Expect(by).To(BeEmpty(), text)
		Expect(text).To(ContainSubstring("answered by one of site, far"))
		Expect(heard()).To(ConsistOf("site"))
	})

	It("is nobody where the asker has it as well, and has refused its own", func(ctx SpecContext) {
		add(s.node("pc"), "lo", "10.0.9.1/32")
		by, text := who(ctx, s, echo)
		Expect(by).To(BeEmpty(), text)
		Expect(text).To(ContainSubstring("refused by one of pc, site"))
		Expect(heard()).To(BeEmpty())
	})

	It("is whom a check of the address is about", func(ctx SpecContext) {
		moves("site", "other")
		serves("other")
		Expect(s.node("other").Nft(`table ip o { chain o { type filter hook output priority 0; udp sport 7 drop comment "mute"; }; }`)).To(Succeed())
		Expect(holds(probes.BeIsolatedFrom(site4, echo).WithContext(ctx), s.node("pc"))).To(BeFalse())
		Expect(s.node("pc")).To(probes.BeUnansweredBy(site4, echo).At("other").By("mute").WithContext(ctx))
		Eventually(heard).Should(ConsistOf("other"))
	})

	It("is nobody for a time that two could have told", func(ctx SpecContext) {
		add(s.node("far"), "lo", "10.0.9.1/32")
		Expect(probes.BeUnansweredBy(site4, icmp).WithContext(ctx).Match(s.node("pc"))).To(BeFalse())
	})

	It("is who has it by a route of type local", func(ctx SpecContext) {
		take(s.node("site"), "wan", addr)
		link, err := s.node("other").Netlink().LinkByName("lo")
		Expect(err).NotTo(HaveOccurred())
		const local = 2 // RTN_LOCAL
		Expect(s.node("other").Netlink().RouteAdd(&netlink.Route{
			Dst: mustCIDR("10.0.9.0/31"), Type: local, LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_HOST,
		})).To(Succeed())
		forget(s.node("fw"), "wan", site4)
		serves("other")
		by, text := who(ctx, s, echo)
		Expect(by).To(Equal("other"), text)
		Expect(heard()).To(ConsistOf("other"))
	})
})
