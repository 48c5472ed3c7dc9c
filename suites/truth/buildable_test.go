package truth_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// made is a world of a seed with rows of that name, one after another.
func made(seed uint64, names ...string) *world {
	g := &generator{world: &world{seed: seed, v4: seed%3 != 1, v6: seed%3 != 2}, r: rand.New(rand.NewPCG(seed, 9))}
	skeletons[seed%uint64(len(skeletons))].add(g)
	for _, n := range g.nodes {
		g.services = append(g.services, service{node: n.name, network: tcp, port: 80}, service{node: n.name, network: udp, port: 53})
	}
	for _, name := range names {
		for _, f := range append(slices.Clone(families), mistakes) {
			if i := slices.IndexFunc(f.rows, func(r row) bool { return r.name == name }); i >= 0 {
				g.choose(f.rows[i : i+1]).add(g)
			}
		}
	}
	return g.world
}

func fabricEntries() (entries []TableEntry) {
	for _, f := range fabrics {
		entries = append(entries, Entry(f.name, f))
	}
	return entries
}

var _ = Describe("a random network", func() {
	It("has a plan", func() {
		for seed := range uint64(20000) {
			w := newWorld(seed)
			_, err := w.declared().Plan()
			Expect(err).NotTo(HaveOccurred(), "seed %d:\n%s", seed, w)
		}
	})

	It("is made of each fabric and has each fault, before long", func() {
		drawn := map[string]bool{}
		for seed := range uint64(5000) {
			for _, name := range newWorld(seed).features() {
				drawn[name] = true
			}
		}
		for _, f := range fabrics {
			Expect(drawn).To(HaveKey(f.name))
		}
		for _, r := range faults.rows {
			Expect(drawn).To(HaveKey(r.name))
		}
	})

	DescribeTable("can be built of", func(f fabric) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6, f.feature)
		var segments int
		for seed := range uint64(len(skeletons)) {
			w := made(seed)
			g := &generator{world: w, r: rand.New(rand.NewPCG(seed, 10))}
			for i, s := range w.segments {
				if on := g.nodesOn(s.name); g.hosted(s.name) && (!f.pair || len(on) == 2) {
					w.segments[i].made, w.segments[i].wire = f.name, false
					if segments++; f.flows {
						g.flow(s.name, on)
					}
				}
			}
			Expect(in(fmt.Sprintf("truth/made/%d", seed), func(s *scope) { w.serve(s, w.up(s), true) })).To(Succeed(), "%s", w)
		}
		Expect(segments).To(BeNumerically(">", len(skeletons)/2))
	}, fabricEntries())

	// What one row makes may be in another's way.
	DescribeTable("can be built with", func(rows ...string) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		var parts int
		for seed := range uint64(len(skeletons)) {
			w := made(seed, rows...)
			parts += len(w.parts)
			err := in(fmt.Sprintf("truth/built/%d", seed), func(s *scope) { w.serve(s, w.up(s), true) })
			if err == nil || !unsupported(err) {
				Expect(err).NotTo(HaveOccurred(), "%s", w)
			}
		}
		Expect(parts).To(BeNumerically(">", 0))
	},
		Entry("a rule about a gateway", "policy routing by what a program may choose", "a Host as router"),
		Entry("a route to a gateway", "blackhole, unreachable or prohibit route", "a route that leads back"),
		Entry("a route over the gateway's link", "blackhole, unreachable or prohibit route", "wrong gateway"),
		Entry("two fillings of a table", byProtocol+", to none", byProtocol+", to a good route", byProtocol+", to none"),
		Entry("two rules of one kind", "policy routing by what a program may choose", "policy routing by what a program may choose"),
		Entry("two second addresses", "a second address on the link", "a second address on the link", "missing address"),
		Entry("two addresses that came later", "an address that came later", "an address that came later", "an address that came later"),
		Entry("two addresses on the loopback", "an address on the loopback", "an address on the loopback"),
		Entry("two sources that are only routes'", "a source that is only a route's", "a source that is only a route's"),
		Entry("two addresses that no list has", "an address that no list has", "an address that no list has"),
		Entry("two ways of a higher metric", "a way of a higher metric by another device", "a way of a higher metric by another device"),
		Entry("a service on an address that is missing", "on one address only", "on one address only", "on one address only", "missing address"),
		Entry("a service on an address of a link that is down", "on one address only", "on one address only", "on one address only", "link down"),
		Entry("two proxies", forPort, transparent, forPort),
		Entry("a neighbour that comes back, and a rule about its gateway", "policy routing by what a program may choose", "a neighbour that was asked for in vain, and has come since"),
	)

	It("has no proxy that hands on to itself", func() {
		for seed := range uint64(2000) {
			w := made(seed, forPort, transparent)
			var proxies []part
			for _, p := range w.parts {
				if p.do != nil && (p.feature == forPort || p.feature == transparent) {
					proxies = append(proxies, p)
				}
			}
			Expect(len(proxies)).To(BeNumerically("<=", 1), "%s", w)
			for _, p := range proxies {
				for _, port := range w.node(p.node).ports {
					for _, addr := range port.at {
						Expect(p.source).NotTo(ContainSubstring("["+addr+"]"), "%s", w)
					}
				}
			}
		}
	})
})
