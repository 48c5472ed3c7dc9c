package faults_test

import (
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// passed is the kernel's own count of what a node's interface has sent.
func passed(node *harness.Node, name string) int {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	return int(link.Attrs().Statistics.TxPackets)
}

// replace puts another queue in the place of what the lab has given a port, behind its back.
func replace(node *harness.Node, name string, queue func(netlink.QdiscAttrs) netlink.Qdisc) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT}
	old, err := node.Netlink().QdiscList(link)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().QdiscDel(old[0])).To(Succeed())
	if q := queue(attrs); q != nil {
		Expect(node.Netlink().QdiscAdd(q)).To(Succeed())
	}
}

func noQueue(netlink.QdiscAttrs) netlink.Qdisc { return nil }

// bucket is a queue that lets so much pass.
func bucket(rate topo.BitRate) func(netlink.QdiscAttrs) netlink.Qdisc {
	return func(attrs netlink.QdiscAttrs) netlink.Qdisc {
		const bits, burst, limit = 8, 3028, 1 << 20
		bytes := uint64(rate / bits)
		return &netlink.Tbf{QdiscAttrs: attrs, Rate: bytes, Limit: limit, Buffer: netlink.Xmittime(bytes, burst)}
	}
}

// measured are a lab's figures.
func measured(ctx SpecContext, lab *harness.Lab) ([]harness.MeasuredImpairment, error) {
	GinkgoHelper()
	all, err := lab.MeasureImpairments(ctx)
	for _, m := range all {
		AddReportEntry("measured", m.String())
	}
	return all, err
}

var _ = Describe("a rate that is measured", func() {
	const rate = 8 * topo.Mbit

	It("is as it was set, on a wire and on a switch, both ways", func(ctx SpecContext) {
		network := topo.New("rates")
		wire, lan := network.Wire("wire", "10.0.1.0/24"), network.Switch("lan", "10.0.2.0/24")
		network.Host("a", wire.At().Impair(topo.Impairment{Rate: rate}))
		network.Router("b", wire, lan.At().ImpairReceived(topo.Impairment{Rate: 2 * rate, Limit: 20}))
		network.Host("c", lan.At().Impair(topo.Impairment{Rate: 4 * rate}))
		lab := harness.Up(GinkgoTB(), network)
		before := passed(lab.Node("a"), "wire")
		all, err := measured(ctx, lab)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(3))
		for i, set := range []topo.BitRate{rate, 2 * rate, 4 * rate} {
			m := all[i]
			Expect(m.Set.Rate).To(Equal(set))
			Expect(m.Rate).To(And(BeNumerically("<=", set+set/50), BeNumerically(">", 0)), "%s", m)
			Expect(m.Lost).To(BeZero(), "%s", m)
			Expect(m.Untold).To(BeEmpty(), "%s", m)
			Expect(m.String()).To(ContainSubstring(" frames sent, "))
		}
		Expect(passed(lab.Node("a"), "wire")-before).To(BeNumerically(">=", all[0].Sent), "the judge: the kernel's own count of what it sent")
	})

	DescribeTable("is told where it is not in force", func(ctx SpecContext, queue func(netlink.QdiscAttrs) netlink.Qdisc, why string) {
		a, _ := two(func(n *topo.Network) (topo.Attachment, topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24")
			return wire.At().Impair(topo.Impairment{Rate: rate}), wire
		})
		replace(a, "wire", queue)
		all, err := measured(ctx, a.Lab())
		Expect(err).To(MatchError(And(HavePrefix("measure impairments: a/wire sends: "), MatchRegexp(why))), "%s", all)
		Expect(all[0].Err()).To(HaveOccurred())
		Expect(all[0].String()).To(ContainSubstring("NOT AS SET"))
	},
		Entry("as it is gone", noQueue, `bit/s passed, for a rate of 8 Mbit/s`),
		Entry("as it is another, ten times as high", bucket(10*rate), `Mbit/s passed, for a rate of 8 Mbit/s`),
		Entry("as it is another, a tenth of that", bucket(rate/10), `no more than \S+ kbit/s passed, for a rate of 8 Mbit/s`),
	)
})

var _ = Describe("what netem does that is measured", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.Netem) })

	// on impairs what a sends on a wire to b.
	on := func(i topo.Impairment) *harness.Node {
		GinkgoHelper()
		a, _ := two(func(n *topo.Network) (topo.Attachment, topo.Attachment) {
			wire := n.Wire("wire", "10.0.1.0/24")
			return wire.At().Impair(i), wire
		})
		return a
	}

	DescribeTable("is as it was set", func(ctx SpecContext, i topo.Impairment) {
		a := on(i)
		before := drops(a, "wire")
		all, err := measured(ctx, a.Lab())
		Expect(err).NotTo(HaveOccurred(), "%s", all)
		dropped := drops(a, "wire") - before
		if i.Duplicate == 0 || i.Loss == 0 { // else it has dropped copies as well
			Expect(all[0].Lost).To(BeNumerically("==", dropped), "the judge: the queue's own count")
		}
		Expect(all[0].Lost).To(BeNumerically("<=", dropped))
	},
		Entry("a loss", topo.Impairment{Loss: 0.05}),
		Entry("of all", topo.Impairment{Loss: 1}),
		Entry("duplicates", topo.Impairment{Duplicate: 0.2}),
		Entry("damage", topo.Impairment{Corrupt: 0.3}),
		Entry("a delay", topo.Impairment{Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond}),
		Entry("some that overtake", topo.Impairment{Delay: 40 * time.Millisecond, Reorder: 0.25}),
		Entry("all of it", topo.Impairment{Delay: 20 * time.Millisecond, Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1, Rate: 20 * topo.Mbit}),
	)

	DescribeTable("is told where it is not in force", func(ctx SpecContext, set topo.Impairment, queue func(netlink.QdiscAttrs) netlink.Qdisc, why string) {
		a := on(set)
		replace(a, "wire", queue)
		all, err := measured(ctx, a.Lab())
		Expect(err).To(MatchError(ContainSubstring(why)), "%s", all)
	},
		Entry("a loss that is gone", topo.Impairment{Loss: 0.05}, noQueue, "0 of 420 frames were lost, and chance leaves "),
		Entry("a loss of four times as many", topo.Impairment{Loss: 0.05}, ill(netlink.NetemQdiscAttrs{Loss: 20}), " frames were lost, and chance leaves "),
		Entry("duplicates that are gone", topo.Impairment{Duplicate: 0.2}, noQueue, "0 of 200 frames were doubled, and chance leaves "),
		Entry("a delay that is gone", topo.Impairment{Delay: 40 * time.Millisecond}, noQueue, "200 of 200 frames came in less than 40ms"),
		Entry("a delay ten times as long", topo.Impairment{Delay: 40 * time.Millisecond}, ill(netlink.NetemQdiscAttrs{Latency: 400_000}), "for a delay of 40ms"),
	)
})

// ill is a netem of somebody else.
func ill(of netlink.NetemQdiscAttrs) func(netlink.QdiscAttrs) netlink.Qdisc {
	return func(attrs netlink.QdiscAttrs) netlink.Qdisc { return netlink.NewNetem(attrs, of) }
}
