package links_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// uplinks is a router with two ways to a site. The plan takes the first.
//
//	client --lan-- r --a-- fast --far-- site
//	               +---b-- slow --far
func uplinks(choose func(r *topo.Node, lan, a, b *topo.Segment)) *topo.Network {
	network := topo.New("uplinks")
	lan, far := network.Wire("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("far", "10.0.9.0/24", "fd00:9::/64")
	a, b := network.Wire("a", "10.0.2.0/24", "fd00:2::/64"), network.Wire("b", "10.0.3.0/24", "fd00:3::/64")
	network.Host("client", lan)
	choose(network.Router("r", lan, a, b), lan, a, b)
	network.Router("fast", a, far)
	network.Router("slow", b, far)
	network.Host("site", far)
	return network
}

var bySlow = []topo.Route{{Via: "10.0.3.2", Table: 100}, {Via: "fd00:3::2", Table: 100}}

// closed has a router drop what it forwards.
func closed(node *harness.Node) {
	GinkgoHelper()
	Expect(node.Nft(`table inet filter { chain forward { type filter hook forward priority 0; policy accept; drop comment "closed"; }; }`)).To(Succeed())
}

var _ = Describe("policy routing", func() {
	It("takes another table for those that a rule names", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := up(uplinks(func(r *topo.Node, lan, _, _ *topo.Segment) {
			r.Route(bySlow...).Rule(topo.Rule{In: lan, Table: 100})
		}))
		client, site := lab.Node("client"), lab.Node("site")
		passes(client, site, site.Addrs()...)
		closed(lab.Node("slow"))
		Expect(client).To(probes.BeIsolatedFrom(site, probes.ICMP()).At("slow").By("closed").WithContext(ctx))
		Expect(lab.Node("r")).To(probes.Reach(site, probes.ICMP()).WithContext(ctx))
	})

	It("asks for protocol and port", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := up(uplinks(func(r *topo.Node, _, _, _ *topo.Segment) {
			r.Route(bySlow...).Rule(topo.Rule{Protocol: "tcp", Port: "8000-8100", Table: 100}, topo.Rule{Protocol: "tcp", Port: "22", Type: topo.Prohibit})
		}))
		client, site := lab.Node("client"), lab.Node("site")
		probes.Serve(GinkgoTB(), site, probes.TCP(80), probes.TCP(22), probes.TCP(8080))
		Expect(client).To(probes.Reach(site, probes.TCP(8080), probes.TCP(80)).WithContext(ctx))
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(site, probes.TCP(22))).At("r").By("10001: from all ipproto tcp dport 22 prohibit").WithContext(ctx))
		closed(lab.Node("slow"))
		Expect(client).To(probes.BeIsolatedFrom(site, probes.TCP(8080)).At("slow").By("closed").WithContext(ctx))
		Expect(client).To(probes.Reach(site, probes.TCP(80)).WithContext(ctx))
	})

	It("leaves a table's default route out", func(ctx SpecContext) {
		// As wg-quick does: main without its default route, then the tunnel's table.
		lab := up(uplinks(func(r *topo.Node, _, a, _ *topo.Segment) {
			r.NoRoutes().Route(topo.Route{Via: "10.0.2.2", Dev: a}, topo.Route{Type: topo.Blackhole, Table: 51820}).Rule(
				topo.Rule{Priority: 100, From: "0.0.0.0/0", Table: 254, SuppressPrefixLength: new(0)}, topo.Rule{Priority: 200, From: "0.0.0.0/0", Table: 51820})
		}))
		r, site := lab.Node("r"), lab.Node("site")
		Expect(r).To(probes.Reach(lab.Node("fast").On("a"), probes.ICMP()).WithContext(ctx))
		result, err := probes.Watch(ctx, r, site.Addrs()[0], probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Kind).To(BeEquivalentTo("blackhole"), result.String())
	})

	It("spreads over the hops of a route", func(ctx SpecContext) {
		lab := up(uplinks(func(r *topo.Node, _, _, _ *topo.Segment) {
			r.Route(topo.Route{To: "10.0.9.0/24", Hops: []topo.Hop{{Via: "10.0.2.2"}, {Via: "10.0.3.2", Weight: 2}}},
				topo.Route{To: "fd00:9::/64", Hops: []topo.Hop{{Via: "fd00:2::2"}, {Via: "fd00:3::2"}}})
		}))
		client, site := lab.Node("client"), lab.Node("site")
		passes(client, site, site.Addrs()...)
		Expect(client).To(probes.Reach(site, probes.ICMP()).WithContext(ctx))
	})

	It("gives what the node sends a source", func() {
		lab := up(uplinks(func(r *topo.Node, _, a, _ *topo.Segment) {
			r.Loopback("192.0.2.1/32").Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.2.2", Source: "192.0.2.1", MTU: 1400, LockMTU: true})
		}))
		Expect(seenBy(lab.Node("site"), lab.Node("r"), lab.Node("site").Addrs()[0])).To(Equal("192.0.2.1"))
	})
})
