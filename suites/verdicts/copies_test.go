package verdicts_test

import (
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a copy's end is not the packet's", func() {
	// tapping is the office where fw is on the mirror as well.
	tapping := func(rules string) *site {
		GinkgoHelper()
		network := topo.New("office")
		lan, wan, mirror := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24"), network.Switch("mirror", "10.0.7.0/24")
		network.Host("pc", lan)
		network.Host("site", wan)
		network.Router("fw", lan, wan, mirror).Nft(rules)
		network.Router("ids", mirror).Nft(`table ip filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)
		return (&site{network: network}).up()
	}

	DescribeTable("as the service answers late", func(ctx SpecContext, rules string, after time.Duration) {
		s := tapping(rules)
		heard := datagrams(s.node("site"), 7, after)
		for range 5 {
			result, err := probes.Watch(ctx, s.node("pc"), s.node("site"), echo)
			Expect(err).NotTo(HaveOccurred())
			Expect(result.Outcome).To(Equal(probes.Answered), "%s", result)
		}
		Eventually(heard.heard).Should(HaveLen(5))
		notIsolated(ctx, s.node("pc"), s.node("site"), echo)
		Expect(s.node("pc")).To(probes.Reach(s.node("site"), echo).WithContext(ctx))
	},
		Entry("a copy made before routing", `table ip m { chain pre { type filter hook prerouting priority -300; iifname "lan" dup to 10.0.7.2 device "mirror"; }; }`, 30*time.Millisecond),
		Entry("a copy made in forward", `table ip m { chain pre { type filter hook forward priority -300; iifname "lan" dup to 10.0.7.2 device "mirror"; }; }`, 200*time.Millisecond),
		Entry("a copy that dies in the copier's own output chain", `table ip m {
			chain pre { type filter hook prerouting priority -300; iifname "lan" dup to 10.0.7.2 device "mirror"; }
			chain out { type filter hook output priority 0; oifname "mirror" drop; }; }`, 100*time.Millisecond),
	)

	It("and where both die, the packet's end is named", func(ctx SpecContext) {
		s := tapping(`table ip m {
			chain pre { type filter hook prerouting priority -300; iifname "lan" dup to 10.0.7.2 device "mirror"; }
			chain onward { type filter hook forward priority 0; iifname "lan" drop comment "nothing out"; }; }`)
		heard := datagrams(s.node("site"), 7, 0)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo).At("fw").By("nothing out").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
	})

	It("and a copy that arrives, where the packet dies, is a leak", func(ctx SpecContext) {
		s := ruled(`table ip m {
			chain pre { type filter hook prerouting priority -300; iifname "lan" dup to 10.0.9.1 device "wan"; }
			chain onward { type filter hook forward priority 0; iifname "lan" drop comment "nothing out"; }; }`)
		heard := datagrams(s.node("site"), 7, -1)
		notIsolated(ctx, s.node("pc"), s.node("site"), echo)
		Eventually(heard.heard).ShouldNot(BeEmpty())
	})
})

var _ = Describe("what only the state suggests ends no probe", func() {
	for _, after := range []time.Duration{8 * time.Millisecond, 300 * time.Millisecond} {
		It("as a program forwards where the kernel does not, after "+after.String(), func(ctx SpecContext) {
			s := planned()
			s.fw.NoForward()
			s.up()
			pc, fw, site := s.node("pc"), s.node("fw"), s.node("site")
			forwarder(fw, "lan", "wan", mac(site, "wan"), after)
			forwarder(fw, "wan", "lan", mac(pc, "lan"), after)
			heard := datagrams(site, 7, 0)
			notIsolated(ctx, pc, site, echo)
			Eventually(heard.heard).ShouldNot(BeEmpty())
			Expect(pc).To(probes.Reach(site, icmp).WithContext(ctx))
			notIsolated(ctx, pc, site, icmp)
		})
	}

	DescribeTable("nor does an error that the asker hears of what a kernel ends, and a program hands on later", func(ctx SpecContext, end func(fw *topo.Node)) {
		s := planned()
		end(s.fw)
		s.up()
		pc, fw, site := s.node("pc"), s.node("fw"), s.node("site")
		patient := echo.Within(soon) // which nobody waits for: that it arrived is seen
		forwarder(fw, "lan", "wan", mac(site, "wan"), 30*time.Millisecond)
		heard := datagrams(site, 7, -1)
		result, err := probes.Watch(ctx, pc, site, patient)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Outcome).To(Equal(probes.Rejected), "%s", result)
		notIsolated(ctx, pc, site, patient)
		Eventually(heard.heard).ShouldNot(BeEmpty())
		table, err := probes.Grid{From: []*harness.Node{pc}, To: []probes.Target{site}, Probes: []probes.Probe{icmp.Within(soon)}, Watch: true}.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(table.Cell("pc", "site")).To(HavePrefix("leak:"))
	},
		Entry("by a route", func(fw *topo.Node) { fw.Route(topo.Route{To: "10.0.9.1/32", Type: topo.Unreachable}) }),
		Entry("by a rule of policy routing", func(fw *topo.Node) { fw.Rule(topo.Rule{To: "10.0.9.1/32", Type: topo.Prohibit}) }),
		Entry("by a rule that rejects", func(fw *topo.Node) {
			fw.Nft(`table ip f { chain onward { type filter hook forward priority 0; iifname "lan" reject with icmp admin-prohibited; }; }`)
		}),
	)

	It("and without such a program the same network isolates", func(ctx SpecContext) {
		s := planned()
		s.fw.NoForward()
		s.up()
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), icmp, ssh, echo).At("fw").Because(evidence.NoForward).WithContext(ctx))
	})

	It("nor does a neighbour that is slow", func(ctx SpecContext) {
		s := planned().up()
		pc, site := s.node("pc"), s.node("site")
		lateARP(site, "wan", site4, 400*time.Millisecond)
		heard := datagrams(site, 7, 0)
		for _, p := range []probes.Probe{icmp, echo} {
			Expect(holds(probes.BeIsolatedFrom(site, p).Because(evidence.Neighbour).WithContext(ctx), pc)).To(BeFalse())
			forget(s.node("fw"), "wan", site4)
		}
		Expect(pc).To(probes.Reach(site, icmp).WithContext(ctx))
		Eventually(heard.heard).ShouldNot(BeEmpty())
	})
})
