package faults_test

import (
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("two of a switch between whom little passes", func() {
	var lab *harness.Lab
	var a, b, c *harness.Node

	BeforeEach(func() {
		network := topo.New("between")
		lan := network.Switch("lan", "10.0.1.0/24").ImpairBetween("a", "b", crawls)
		network.Host("a", lan)
		network.Host("b", lan)
		network.Host("c", lan)
		lab = harness.Up(GinkgoTB(), network)
		a, b, c = lab.Node("a"), lab.Node("b"), lab.Node("c")
		acquaint(lab)
	})

	// A row of frames of 1,442 bytes, of which half take two minutes where little passes.
	const row = 20
	littlePasses := func(from, to *harness.Node) {
		GinkgoHelper()
		j := judges(from, to, 1400)
		j.send(row, quiet)
		Expect(len(j.heard)).To(BeNumerically("<", row/2), "%s to %s", from, to)
	}
	allPass := func(from, to *harness.Node) {
		GinkgoHelper()
		j := judges(from, to, 1400)
		j.send(row, quiet)
		Eventually(func() int { j.read(quiet); return len(j.heard) }).WithTimeout(longEnough).Should(Equal(row), "%s to %s", from, to)
	}

	It("lets all others pass, and changes while the lab runs", func() {
		littlePasses(a, b)
		littlePasses(b, a)
		for _, pair := range [][2]*harness.Node{{a, c}, {c, a}, {b, c}, {c, b}} {
			allPass(pair[0], pair[1])
		}

		By("changing it")
		Expect(a.Port("lan").ImpairReceivedFrom(b.Port("lan"), topo.Impairment{})).To(Succeed())
		Expect(b.Port("lan").ImpairReceivedFrom(c.Port("lan"), crawls)).To(Succeed())
		littlePasses(a, b)
		littlePasses(c, b)
		for _, pair := range [][2]*harness.Node{{b, a}, {a, c}, {c, a}, {b, c}} {
			allPass(pair[0], pair[1])
		}

		By("having little pass of all that comes to b, but for what c sends")
		Expect(b.Port("lan").ImpairReceived(crawls)).To(Succeed())
		Expect(b.Port("lan").ImpairReceivedFrom(a.Port("lan"), topo.Impairment{Rate: 2 * topo.Kbit})).To(Succeed())
		Expect(b.Port("lan").ImpairReceivedFrom(c.Port("lan"), topo.Impairment{})).To(Succeed())
		littlePasses(a, b)
		allPass(c, b)
		Expect(lab.Change(func(n *topo.Network) { n.Host("d", n.Segment("lan")) })).To(Succeed())
		acquaint(lab)
		littlePasses(lab.Node("d"), b)
		allPass(b, lab.Node("d"))
	})

	It("is told who they are, and blames no other pair", func(ctx SpecContext) {
		probes.Serve(GinkgoTB(), b, probes.UDP(53))
		fill(a, b, row)
		Eventually(func() uint32 { return longest(switchQueues(lab)).holds }, time.Minute).Should(BeNumerically(">", row/2), "the control: most of them wait")
		probe := probes.UDP(53).Within(300 * time.Millisecond)
		r, err := probes.Watch(ctx, a, b, probe)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Queued), HaveField("Policy", false))), "%s: %s", r, r.Timeline)
		Expect(r.Cause.String()).To(MatchRegexp(`was waiting at b/lan: at its port of switch lan, for what a/lan sends it, in tbf \(rate 0.001 Mbit/s\), \d+ packets queued`))
		holds, err := probes.BeIsolatedFrom(b).Match(r)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("it may arrive later")))

		Expect(c).To(probes.Reach(b, probes.UDP(53).Within(longEnough)).WithContext(ctx))
		r, err = probes.Watch(ctx, c, b, probes.UDP(9).Within(longEnough))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Outcome).To(Equal(probes.Refused), "%s", r)
	})

	It("is measured as it was set, each way", func(ctx SpecContext) {
		const rate = 8 * topo.Mbit
		Expect(a.Port("lan").ImpairReceivedFrom(b.Port("lan"), topo.Impairment{Rate: rate})).To(Succeed())
		Expect(b.Port("lan").ImpairReceivedFrom(a.Port("lan"), topo.Impairment{Rate: 2 * rate, Limit: 20})).To(Succeed())
		Expect(c.Port("lan").ImpairReceivedFrom(a.Port("lan"), topo.Impairment{Rate: rate})).To(Succeed())
		Expect(b.Port("lan").Impair(topo.Impairment{Rate: 4 * rate})).To(Succeed())
		before := passed(a, "lan")
		all, err := measured(ctx, lab)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(4))
		for i, want := range []struct {
			to, from string
			set      topo.BitRate
		}{{"a", "b/lan", 0}, {"b", "", 4 * rate}, {"b", "a/lan", 2 * rate}, {"c", "a/lan", rate}} {
			m := all[i]
			Expect([]string{m.Node, m.From}).To(Equal([]string{want.to, want.from}))
			if want.set == 0 {
				Expect(m.Untold).To(ConsistOf("anything: what b/lan sends has rate 32 Mbit/s of its own"))
				continue
			}
			Expect(m.Lost).To(BeZero(), "%s", m)
			Expect(m.Rate).To(BeNumerically("<=", want.set+want.set/50), "%s", m)
		}
		Expect(all[2].String()).To(HavePrefix("b/lan receives from a/lan rate 16 Mbit/s, limit 20: "))
		Expect(passed(a, "lan")-before).To(BeNumerically(">=", all[2].Sent+all[3].Sent), "the judge: the kernel's own count of what a sent")
	})
})
