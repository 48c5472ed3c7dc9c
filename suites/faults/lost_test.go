package faults_test

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// office is client on the switch lan, fw, and server on the wire dmz.
type office struct{ client, fw, server *harness.Node }

func newOffice(rules string) office {
	GinkgoHelper()
	network := topo.New("office")
	lan, dmz := network.Switch("lan", "10.0.1.0/24"), network.Wire("dmz", "10.0.2.0/24")
	network.Host("client", lan)
	network.Host("server", dmz)
	fw := network.Router("fw", lan, dmz)
	if rules != "" {
		harness.Require(GinkgoTB(), harness.NftTool)
		fw.Nft(rules)
	}
	lab := harness.Up(GinkgoTB(), network)
	o := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
	probes.Serve(GinkgoTB(), o.server, probes.TCP(80), probes.UDP(53))
	return o
}

// The probes, with the time that a responder takes on a busy machine.
func asked(within time.Duration) []probes.Probe {
	return []probes.Probe{probes.ICMP().Within(within), probes.TCP(80).Within(within), probes.UDP(53).Within(within)}
}

// warm has the nodes know their neighbours for good.
func (o office) warm(ctx context.Context) {
	GinkgoHelper()
	Expect(o.client).To(probes.Reach(o.server, probes.TCP(80).Within(time.Minute)).WithContext(ctx))
	acquaint(o.fw.Lab())
}

// drops is the kernel's own count of what a node's interface has dropped of what it was to send.
func drops(node *harness.Node, name string) (n uint32) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	queues, err := node.Netlink().QdiscList(link)
	Expect(err).NotTo(HaveOccurred())
	for _, q := range queues {
		n += q.Attrs().Statistics.Queue.Drops
	}
	return n
}

// isolatesNobody says that a cause is no evidence of isolation.
func (o office) isolatesNobody(r probes.Result) {
	GinkgoHelper()
	Expect(r.Cause).To(HaveValue(HaveField("Policy", false)), "%s", r)
	holds, err := probes.BeIsolatedFrom(o.server).Match(r)
	Expect(holds).To(BeFalse())
	if r.Cause.Leg == evidence.Answer {
		Expect(err).NotTo(HaveOccurred(), "that the request arrived is known")
	} else {
		Expect(err).To(MatchError(ContainSubstring("is not shown to be isolated from")))
	}
	holds, err = probes.BeUnansweredBy(o.server).Match(r)
	Expect(holds).To(BeFalse())
	Expect(err).To(HaveOccurred(), "no policy ends the answer")
}

var _ = Describe("a way that loses all", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.Netem) })

	var cut = topo.Impairment{Loss: 1}
	DescribeTable("is named, and isolates nobody", func(ctx SpecContext, at string, leg evidence.Role, lose func(office) error, dropped func(office) uint32) {
		o := newOffice("")
		o.warm(ctx)
		Expect(lose(o)).To(Succeed())
		before := dropped(o)
		for _, p := range asked(time.Second) {
			r, err := probes.Watch(ctx, o.client, o.server, p)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Lost), HaveField("Leg", leg), HaveField("Chance", false))), "%s: %s", r, r.Timeline)
			Expect(r.Cause.Node+"/"+r.Cause.Interface).To(Equal(at), "%s", r.Cause)
			Expect(r.Cause.String()).To(ContainSubstring("netem loses all that is to leave there (loss 100 %"))
			o.isolatesNobody(r)
		}
		Expect(dropped(o)).To(BeNumerically(">=", before+3), "the judge: the queue's own count")
	},
		Entry("at the asker", "client/lan", evidence.Request, func(o office) error { return o.client.Port("lan").Impair(cut) }, func(o office) uint32 { return drops(o.client, "lan") }),
		Entry("on the way", "fw/dmz", evidence.Request, func(o office) error { return o.fw.Port("dmz").Impair(cut) }, func(o office) uint32 { return drops(o.fw, "dmz") }),
		Entry("at a switch's end", "fw/lan", evidence.Request, func(o office) error { return o.fw.Port("lan").ImpairReceived(cut) }, switchDrops),
		Entry("at a switch's end, of what the asker sends", "fw/lan", evidence.Request, func(o office) error { return o.fw.Port("lan").ImpairReceivedFrom(o.client.Port("lan"), cut) }, switchDrops),
		Entry("of the answer", "server/dmz", evidence.Answer, func(o office) error { return o.server.Port("dmz").Impair(cut) }, func(o office) uint32 { return drops(o.server, "dmz") }),
	)

	It("also loses the question for a neighbour, which is told", func(ctx SpecContext) {
		o := newOffice("")
		Expect(o.server.Port("dmz").Impair(cut)).To(Succeed())
		r, err := probes.Watch(ctx, o.client, o.server, probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Lost), HaveField("Node", "server"))), "%s", r.Cause)
		o.isolatesNobody(r)
	})
})

// switchDrops is what the switch has dropped of what it was to send.
func switchDrops(o office) (n uint32) {
	GinkgoHelper()
	for _, q := range switchQueues(o.fw.Lab()) {
		n += q.Drops
	}
	return n
}

var _ = Describe("a way that loses by chance", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.Netem) })

	It("is no evidence of isolation, and is told", func(ctx SpecContext) {
		o := newOffice("")
		o.warm(ctx)
		Expect(o.fw.Port("dmz").Impair(topo.Impairment{Loss: 0.5})).To(Succeed())
		told := 0
		for range 12 {
			r, err := probes.Watch(ctx, o.client, o.server, probes.UDP(53).Within(300*time.Millisecond))
			Expect(err).NotTo(HaveOccurred())
			if r.Outcome == probes.Answered {
				continue
			}
			told++
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Lost), HaveField("Node", "fw"), HaveField("Chance", true))), "%s: %s", r.Cause, r.Timeline)
			Expect(r.Cause.String()).To(ContainSubstring("by chance: netem (loss 50 %)"))
			o.isolatesNobody(r)
			holds, err := probes.BeIsolatedFrom(o.server).Because(evidence.Lost).Match(r)
			Expect(holds).To(BeFalse(), "also where a loss would be expected")
			Expect(err).To(HaveOccurred())
		}
		Expect(told).To(BeNumerically(">", 0))
		Expect(drops(o.fw, "dmz")).To(BeNumerically(">=", told), "the judge: the queue's own count")
	})

	It("keeps no rule from isolating, and lets nobody pass for isolated", func(ctx SpecContext) {
		o := newOffice(`table inet f { chain forward { type filter hook forward priority 0; udp dport 53 drop comment "no dns"; }; }`)
		o.warm(ctx)
		ill := topo.Impairment{Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.2, Duplicate: 0.3, Reorder: 0.2}
		Expect(o.client.Port("lan").Impair(ill)).To(Succeed())
		Expect(o.server.Port("dmz").Impair(ill)).To(Succeed())
		held := 0
		for range 12 {
			if holds, err := probes.BeIsolatedFrom(o.server, probes.UDP(53)).By("no dns").WithContext(ctx).Match(o.client); holds {
				Expect(err).NotTo(HaveOccurred())
				held++
			}
			holds, err := probes.BeIsolatedFrom(o.server, probes.TCP(80)).WithContext(ctx).Match(o.client)
			Expect(holds).To(BeFalse())
			Expect(err).To(Or(BeNil(), MatchError(ContainSubstring("is not shown to be isolated from"))), "it is reached, or lost by chance")
		}
		Expect(held).To(BeNumerically(">", 0))
	})
})

var _ = Describe("a way that is slow, and brings things twice and late", func() {
	It("is reached over, and isolates by its rules alone", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Netem)
		o := newOffice(`table inet f { chain forward { type filter hook forward priority 0; udp dport 54 drop comment "no 54"; }; }`)
		ill := topo.Impairment{Delay: 60 * time.Millisecond, Jitter: 20 * time.Millisecond, Duplicate: 1, Reorder: 0.2}
		for _, port := range []*harness.Port{o.client.Port("lan"), o.fw.Port("lan"), o.fw.Port("dmz"), o.server.Port("dmz")} {
			Expect(port.Impair(ill)).To(Succeed())
		}
		Expect(o.client.Port("lan").ImpairReceived(ill)).To(Succeed())
		for _, p := range asked(30 * time.Second) {
			Expect(o.client).To(probes.Reach(o.server, p).WithContext(ctx))
			r, err := probes.Watch(ctx, o.client, o.server, p)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Outcome).To(Equal(probes.Answered), "%s: %s", r, r.Cause)
			Expect(r.By).To(Equal("server"))
			holds, err := probes.BeIsolatedFrom(o.server, p).WithContext(ctx).Match(o.client)
			Expect(holds).To(BeFalse())
			Expect(err).NotTo(HaveOccurred(), "it is reached")
		}
		Expect(o.client).To(probes.BeIsolatedFrom(o.server, probes.UDP(54).Within(5*time.Second)).At("fw").By("no 54").WithContext(ctx))
	})
})

var _ = Describe("a queue that is full", func() {
	DescribeTable("is named with its rate, and isolates nobody", func(ctx SpecContext, at string, fill func(office) error, dropped func(office) uint32) {
		o := newOffice("")
		o.warm(ctx)
		Expect(fill(o)).To(Succeed())
		flood(ctx, o.client, o.server.Addrs()[0])
		Eventually(func() uint32 { return dropped(o) }, time.Minute).Should(BeNumerically(">", 0), "the control: it is full")
		before := dropped(o)
		r, err := probes.Watch(ctx, o.client, o.server, probes.UDP(53).Within(time.Second))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.Queue)), "%s: %s", r, r.Timeline)
		Expect(r.Cause.Node+"/"+r.Cause.Interface).To(Equal(at), "%s", r.Cause)
		Expect(r.Cause.String()).To(MatchRegexp(`the queue of (pfifo|tbf \(rate 0.001 Mbit/s\)) is full`))
		o.isolatesNobody(r)
		Expect(dropped(o)).To(BeNumerically(">", before), "the judge: the queue's own count")
	},
		Entry("on the way", "fw/dmz", func(o office) error { return o.fw.Port("dmz").Impair(slowest) }, func(o office) uint32 { return drops(o.fw, "dmz") }),
		Entry("at a switch's end", "fw/lan", func(o office) error { return o.fw.Port("lan").ImpairReceived(slowest) }, switchDrops),
		Entry("at a switch's end, of what the asker sends", "fw/lan", func(o office) error { return o.fw.Port("lan").ImpairReceivedFrom(o.client.Port("lan"), slowest) }, switchDrops),
	)
})

// slowest lets 125 bytes pass a second.
var slowest = topo.Impairment{Rate: topo.Kbit, Limit: 2}

// flood sends until the spec ends: whatever leaves the queue, another takes its place.
func flood(ctx context.Context, from *harness.Node, to netip.Addr) {
	GinkgoHelper()
	conn, err := from.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(from.Addrs()[0], 0)) // it hears of no refusal
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	DeferCleanup(func() {
		cancel()
		<-ended
		Expect(conn.Close()).To(Succeed())
	})
	go func() {
		defer close(ended)
		for ticker := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
			_, _ = conn.WriteTo(make([]byte, 1400), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9))) // the count of drops is the control
		}
	}()
}
