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

// hears says whether a plain socket of a node reads what a plain socket of another sends.
func hears(from, to *harness.Node, within time.Duration) bool {
	GinkgoHelper()
	return judges(from, to, 100).first(within)
}

const longEnough = 10 * time.Second

var _ = Describe("a lab that is cut", func() {
	var one, two, three, far *harness.Node
	var lab *harness.Lab

	BeforeEach(func() {
		network := topo.New("cut")
		lan, wire := network.Switch("lan", "10.0.1.0/24"), network.Wire("wire", "10.0.2.0/24")
		network.Host("one", lan)
		network.Host("two", lan)
		network.Router("three", lan, wire)
		network.Host("far", wire)
		lab = harness.Up(GinkgoTB(), network)
		one, two, three, far = lab.Node("one"), lab.Node("two"), lab.Node("three"), lab.Node("far")
	})

	It("is told, isolates nobody, and is whole again when it heals", func(ctx SpecContext) {
		Expect(hears(one, far, longEnough)).To(BeTrue())
		for _, c := range []struct {
			groups []harness.Group
			hear   [][2]*harness.Node
			not    [][2]*harness.Node
			at     string // of what one asks far
		}{
			{[]harness.Group{{one, two}}, [][2]*harness.Node{{one, two}, {two, one}, {three, far}}, [][2]*harness.Node{{one, three}, {one, far}, {far, two}}, "one"},
			{[]harness.Group{{far}}, [][2]*harness.Node{{one, two}, {three, two}}, [][2]*harness.Node{{one, far}, {three, far}, {far, three}}, "three"},
			{[]harness.Group{{one}, {two}, {three, far}}, [][2]*harness.Node{{three, far}}, [][2]*harness.Node{{one, two}, {two, one}, {one, three}, {one, far}}, "one"},
		} {
			Expect(lab.Partition(c.groups...)).To(Succeed())
			By("asking while it is cut")
			for _, pair := range c.hear {
				Expect(hears(pair[0], pair[1], longEnough)).To(BeTrue(), "%s to %s", pair[0], pair[1])
			}
			for _, pair := range c.not {
				Expect(hears(pair[0], pair[1], quiet)).To(BeFalse(), "%s to %s", pair[0], pair[1])
			}
			for _, p := range []probes.Probe{probes.ICMP(), probes.TCP(80), probes.UDP(53)} {
				r, err := probes.Watch(ctx, one, far, p)
				Expect(err).NotTo(HaveOccurred())
				Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Parted), HaveField("Node", c.at), HaveField("Policy", false))), "%s: %s", r.Cause, r.Timeline)
				holds, err := probes.BeIsolatedFrom(far).Match(r)
				Expect(holds).To(BeFalse())
				Expect(err).To(MatchError(ContainSubstring("the lab is cut between")))
				Expect(r).To(probes.BeIsolatedFrom(far).Because(evidence.Parted).At(c.at))
			}
		}
		By("asking everything")
		holds, err := probes.BeIsolatedFrom(far).WithContext(ctx).Match(one)
		Expect(holds).To(BeFalse(), "also where every probe and address is asked")
		Expect(err).To(MatchError(ContainSubstring("the lab is cut between")))

		By("healing it")
		Expect(lab.Heal()).To(Succeed())
		for _, pair := range [][2]*harness.Node{{one, two}, {one, far}, {far, two}} {
			Expect(hears(pair[0], pair[1], longEnough)).To(BeTrue(), "%s to %s", pair[0], pair[1])
		}
		Expect(one).To(probes.Reach(far, probes.ICMP().Within(longEnough)).WithContext(ctx))
	})
})
