package vrf_test

import (
	"context"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// matrix is of red/a, red/b, blue/a, blue/b.
const matrix = `  . ok no no
 ok  . no no
 no no  . ok
 no no ok  .
`

var _ = Describe("a namespace is to Linux what a VRF is to a router", func() {
	for _, own := range []bool{true, false} {
		for _, vrfs := range []bool{true, false} {
			text := "with a router for each tenant"
			if vrfs {
				text = "with a VRF for each tenant"
			}
			if own {
				text += ", of addresses of its own"
			} else {
				text += ", of the same addresses"
			}
			It(text, func(ctx SpecContext) {
				lab := declare(own, vrfs).up()
				Expect(whoReaches(ctx, lab)).To(Equal(matrix))
				Expect(heard(lab, hosts...)).To(Equal(apart))
			})
		}
	}
})

var _ = Describe("tenants in VRFs", func() {
	It("are isolated by the end of their tables, from each other and from who runs the router", func(ctx SpecContext) {
		lab := declare(true, true).up()
		red, blue, ops := lab.Node("red/a"), lab.Node("blue/b"), lab.Node("ops")
		for _, target := range []*harness.Node{blue, ops} {
			Expect(red).To(probes.BeIsolatedFrom(target, probes.ICMP(), probes.TCP(80)).At("r").WithContext(ctx))
		}
		// Without the end of its table the main one would be asked, which leads to ops.
		Expect(red).To(probes.MustMatter(probes.BeIsolatedFrom(ops, probes.UDP(53))).At("r").WithContext(ctx))
		Expect(heard(lab, append(hosts, "ops")...)).To(Equal(apart))
	})

	It("have each other's addresses, and are not reached at them", func(ctx SpecContext) {
		lab := declare(false, true).up()
		red, blue := lab.Node("red/a"), lab.Node("blue/b")
		probes.Serve(GinkgoTB(), lab.Node("red/b"), dns)
		probes.Serve(GinkgoTB(), blue, dns)
		result, err := probes.Watch(ctx, red, blue, dns)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.By).To(Equal("red/b"), result.String())
		holds, err := probes.Reach(blue, dns).WithContext(ctx).Match(red)
		Expect(holds).To(BeFalse(), "its own neighbour answers for that address")
		Expect(err).To(MatchError(ContainSubstring("was answered by red/b, not by blue/b")))
	})
})

// leaks declares that red's first network and blue's second reach each other.
func leaks(t *tenants) *tenants {
	for _, prefix := range prefixes(true, 1, 1) {
		t.r.Route(topo.Route{To: prefix, Dev: t.on["blue/out"], Table: 10})
	}
	for _, prefix := range prefixes(true, 0, 0) {
		t.r.Route(topo.Route{To: prefix, Dev: t.on["red/in"], Table: 20})
	}
	return t
}

// notIsolated says that a check of isolation does not pass where one family leaks, and the
// other does not.
func notIsolated(ctx context.Context, from *harness.Node, to probes.Target) {
	GinkgoHelper()
	holds, err := probes.BeIsolatedFrom(to, probes.UDP(port)).WithContext(ctx).Match(from)
	Expect(holds).To(BeFalse())
	Expect(err).To(MatchError(ContainSubstring(from.Name() + " is not shown to be isolated from ")))
}

var _ = Describe("a leak from one VRF to another", func() {
	It("lets through to the networks that were meant, and to no other", func(ctx SpecContext) {
		lab := leaks(declare(true, true)).up()
		Expect(heard(lab, hosts...)).To(Equal(
			"red/a hears blue/a, blue/b, red/b; red/b hears red/a; blue/a hears blue/b; blue/b hears blue/a, red/a, red/b"))
		red, blue := lab.Node("red/a"), lab.Node("blue/b")
		for _, to := range []*harness.Node{red, blue} {
			probes.Serve(GinkgoTB(), to, web, dns)
		}
		for _, probe := range []probes.Probe{ping, web, dns} {
			Expect(red).To(probes.Reach(blue, probe).Through("r").WithContext(ctx))
			Expect(blue).To(probes.Reach(red, probe).Through("r").WithContext(ctx))
		}
		Expect(red).To(probes.BeIsolatedFrom(lab.Node("blue/a"), probes.ICMP()).At("r").WithContext(ctx))
		Expect(blue).To(probes.BeIsolatedFrom(lab.Node("red/b"), probes.ICMP()).At("r").WithContext(ctx))
	})

	It("is found where only the answers end", func(ctx SpecContext) {
		t := declare(true, true)
		t.r.Route(topo.Route{To: prefixes(true, 1, 1)[0], Dev: t.on["blue/out"], Table: 10})
		lab := t.up()
		red, blue := lab.Node("red/a"), lab.Node("blue/b")
		Expect(heard(lab, "red/a", "blue/b")).To(Equal("blue/b hears red/a"))
		notIsolated(ctx, red, blue.On("blue/out"))
	})

	It("is found where a rule looks a tenant's packets up in another's table", func(ctx SpecContext) {
		lab := declare(true, true).up()
		red, blue, r := lab.Node("red/a"), lab.Node("blue/b"), lab.Node("r")
		Expect(red).To(probes.BeIsolatedFrom(blue, probes.UDP(port)).At("r").WithContext(ctx))
		mistake := topo.Rule{Priority: 900, From: "10.1.1.0/24", Table: 20}
		Expect(r.AddRule(mistake)).To(Succeed())
		Expect(heard(lab, "red/a", "blue/b")).To(Equal("blue/b hears red/a"))
		notIsolated(ctx, red, blue)
		Expect(r.DelRule(mistake)).To(Succeed())
		Expect(red).To(probes.BeIsolatedFrom(blue, probes.UDP(port)).At("r").WithContext(ctx))
	})

	It("is found where a table has no end, and the main one is asked", func(ctx SpecContext) {
		lab := declare(true, true).up()
		red, ops, r := lab.Node("red/a"), lab.Node("ops"), lab.Node("r")
		Expect(r.DelRoute(netip.MustParsePrefix("0.0.0.0/0"), 10)).To(Succeed())
		Expect(heard(lab, "red/a", "ops")).To(Equal("ops hears red/a"))
		notIsolated(ctx, red, ops)
		result, err := probes.Watch(ctx, lab.Node("blue/a"), ops, probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Kind).To(Equal(evidence.Unreachable), result.String())
	})
})
