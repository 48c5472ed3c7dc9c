package faults_test

import (
	"math"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// two are hosts a and b on a wire, or on a switch.
func two(attach func(n *topo.Network) (a, b topo.Attachment)) (a, b *harness.Node) {
	GinkgoHelper()
	network := topo.New("two")
	ofA, ofB := attach(network)
	network.Host("a", ofA)
	network.Host("b", ofB)
	lab := harness.Up(GinkgoTB(), network)
	twin, err := lab.Twin()
	Expect(err).NotTo(HaveOccurred())
	twin.Down()
	acquaint(lab)
	return lab.Node("a"), lab.Node("b")
}

// acquaint has the nodes of a lab know the MACs of their neighbours: a question for one is
// impaired like all else, and is asked again only after a second.
func acquaint(lab *harness.Lab) {
	GinkgoHelper()
	plan := lab.Plan()
	for _, segment := range plan.Segments {
		for _, here := range segment.Ports {
			for _, there := range segment.Ports {
				if here == there {
					continue
				}
				other, known := plan.Node(there.Node)
				Expect(known).To(BeTrue())
				device, known := other.Device(there.Port)
				Expect(known).To(BeTrue())
				Expect(lab.Node(here.Node).AddNeighbour(segment.Name, device.Addrs[0].Addr(), device.MAC[:])).To(Succeed())
			}
		}
	}
}

// byChance is a count of things that each happen by chance to a part of so many, with what a
// thousand million runs would stay within.
func byChance(part float64, of int) OmegaMatcher {
	mean := part * float64(of)
	return BeNumerically("~", mean, 6*math.Sqrt(mean*(1-part))+1)
}

// quiet is when nothing more comes, on a busy machine.
const quiet = 300 * time.Millisecond

var _ = Describe("a way that is impaired", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.Netem) })

	const delay, jitter = 40 * time.Millisecond, 10 * time.Millisecond
	// fastest is the fastest of many rows, which a busy machine does not delay all.
	fastest := func(j *judge) func() time.Duration {
		return func() time.Duration {
			j.send(10, quiet)
			return slices.MinFunc(j.heard, func(x, y heard) int { return int(x.After - y.After) }).After
		}
	}
	const aWhile = 20 * time.Second

	DescribeTable("delays what goes that way, and nothing on the way back", func(attach func(n *topo.Network) (a, b topo.Attachment)) {
		a, b := two(attach)
		there, back := judges(a, b, 100), judges(b, a, 100)
		there.send(50, quiet)
		back.send(50, quiet)
		Eventually(fastest(there)).WithTimeout(aWhile).Should(BeNumerically("<", 5*delay), "which a wrong unit is not")
		Expect(there.heard).To(HaveEach(HaveField("After", BeNumerically(">=", delay))))
		Expect(there.heard).To(HaveLen(len(there.sent)))
		Eventually(fastest(back)).WithTimeout(aWhile).Should(BeNumerically("<", delay), "which is not that way's")
		Expect(back.heard).To(HaveLen(len(back.sent)))
	},
		Entry("on a wire", func(n *topo.Network) (a, b topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24")
			return wire.At().Impair(topo.Impairment{Delay: delay}), wire
		}),
		Entry("on a wire, chosen where it comes", func(n *topo.Network) (a, b topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24")
			return wire, wire.At().ImpairReceived(topo.Impairment{Delay: delay})
		}),
		Entry("on a switch, where it is sent", func(n *topo.Network) (a, b topo.Attachment) {
			lan := n.Switch("lan", "10.0.1.0/24")
			return lan.At().Impair(topo.Impairment{Delay: delay}), lan
		}),
		Entry("on a switch, where it comes", func(n *topo.Network) (a, b topo.Attachment) {
			lan := n.Switch("lan", "10.0.1.0/24")
			return lan, lan.At().ImpairReceived(topo.Impairment{Delay: delay})
		}),
		Entry("on a switch, of what comes from one", func(n *topo.Network) (a, b topo.Attachment) {
			lan := n.Switch("lan", "10.0.1.0/24")
			return lan, lan.At().ImpairReceivedFrom("a", topo.Impairment{Delay: delay})
		}),
	)

	It("loses, duplicates and corrupts by chance as was said, also while the lab runs", func() {
		a, b := two(func(n *topo.Network) (topo.Attachment, topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24").Impair(topo.Impairment{Loss: 0.1})
			return wire, wire
		})
		const n = 1000
		first := judges(a, b, 100)
		first.send(n, quiet)
		lost, twice, late := first.counts()
		Expect(lost).To(byChance(0.1, n))
		Expect([]int{twice, late}).To(HaveEach(0))

		Expect(a.Port("wire").Impair(topo.Impairment{Duplicate: 0.2})).To(Succeed())
		second := judges(a, b, 100)
		second.send(n, quiet)
		lost, twice, _ = second.counts()
		Expect(lost).To(BeZero())
		Expect(twice).To(byChance(0.2, n))

		Expect(a.Port("wire").Impair(topo.Impairment{Loss: 1})).To(Succeed())
		third := judges(a, b, 100)
		third.send(10, quiet)
		Expect(third.heard).To(BeEmpty())

		Expect(a.Port("wire").Impair(topo.Impairment{})).To(Succeed())
		last := judges(a, b, 100)
		last.send(n, quiet)
		Expect(last.counts()).To(BeZero())
	})

	It("jitters evenly about the delay, and lets what is not delayed overtake", func() {
		a, b := two(func(n *topo.Network) (topo.Attachment, topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24")
			return wire.At().Impair(topo.Impairment{Delay: delay, Jitter: jitter}), wire
		})
		j := judges(a, b, 100)
		j.send(500, quiet)
		Eventually(fastest(j)).WithTimeout(aWhile).Should(BeNumerically("<", delay), "else it only grows")
		Expect(j.heard).To(HaveEach(HaveField("After", BeNumerically(">=", delay-jitter))))
		Expect(j.heard).To(HaveLen(len(j.sent)))

		Expect(a.Port("wire").Impair(topo.Impairment{Delay: delay, Reorder: 0.25})).To(Succeed())
		j = judges(a, b, 100)
		j.send(500, quiet)
		atOnce := 0
		for _, h := range j.heard {
			if h.After < delay {
				atOnce++
			}
		}
		Expect(atOnce).To(byChance(0.25, 500))
	})

	It("flips a bit in what it corrupts", func() {
		a, b := two(func(n *topo.Network) (topo.Attachment, topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24")
			return wire.At().Impair(topo.Impairment{Corrupt: 0.3}), wire
		})
		j := judges(a, b, 1000)
		j.send(500, quiet)
		lost, _, _ := j.counts()
		Expect(lost).To(byChance(0.3, 500), "the receiver's checksums")
	})
})

var _ = Describe("a way of a rate", func() {
	It("lets no more pass, and drops what its queue has no room for", func() {
		const rate, size, limit, sent = 8 * topo.Mbit, 958, 100, 80 // a frame of 1,000 bytes
		a, b := two(func(n *topo.Network) (topo.Attachment, topo.Attachment) {
			lan := n.Switch("lan", "10.0.1.0/24")
			return lan, lan.At().ImpairReceived(topo.Impairment{Rate: rate, Limit: limit})
		})
		j := judges(a, b, size)
		j.send(sent, quiet)
		Expect(j.heard).To(HaveLen(sent))
		const each, burst, some = time.Millisecond, 4, 20 // two packets of the MTU pass at once
		Expect(j.heard[sent-1].At.Sub(j.sent[0])).To(BeNumerically(">=", (sent-burst)*each), "so much passes, and no more")
		Expect(j.took(some)).To(BeNumerically("<", 4*some*each), "and no less: of bytes a second it would be eight times as long")

		Expect(b.Port("lan").ImpairReceived(topo.Impairment{Rate: 800 * topo.Kbit, Limit: 20})).To(Succeed())
		j = judges(a, b, size)
		const slow, room = 10 * each, 20
		j.send(100, 2*quiet)
		lost, _, _ := j.counts()
		meanwhile := int(j.sent[99].Sub(j.sent[0]) / slow) // that left the queue while a busy machine sent
		Expect(lost).To(And(BeNumerically("<=", 100-room+10), BeNumerically(">=", 100-room-10-meanwhile)))
	})
})
