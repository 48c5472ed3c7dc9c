package faults_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// crawls lets 125 bytes pass a second, after two packets: what waits behind another waits for
// longer than any spec.
var crawls = topo.Impairment{Rate: topo.Kbit}

// fill has so many datagrams of 1,400 bytes wait at a node's port, or before it.
func fill(from, to *harness.Node, count int) {
	GinkgoHelper()
	conn, err := from.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(from.Addrs()[0], 0)) // it hears of no refusal
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(conn.Close()).To(Succeed()) })
	for range count {
		_, err := conn.WriteTo(bytes.Repeat([]byte{0xa5}, 1400), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addrs()[0], 9)))
		Expect(err).NotTo(HaveOccurred())
	}
}

// queue is what the kernel's own counts say: what waits, and that with what has left, which no
// time makes less.
type queue struct{ holds, had uint32 }

func longest(of []inspect.Qdisc) (most queue) {
	for _, q := range of {
		most.holds, most.had = max(most.holds, q.Holds), max(most.had, q.Holds+q.Passed)
	}
	return most
}

// waiting is what is to leave by a node's interface.
func waiting(node *harness.Node, name string) queue {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	all, err := inspect.Namespace{Handle: node.Netlink(), Do: node.Do}.Qdiscs()
	Expect(err).NotTo(HaveOccurred())
	return longest((&inspect.State{Qdiscs: all}).QdiscsOf(link.Attrs().Index))
}

// switchQueues are those by which the switch lan sends.
func switchQueues(lab *harness.Lab) (all []inspect.Qdisc) {
	GinkgoHelper()
	ports, err := lab.Switch("lan")
	Expect(err).NotTo(HaveOccurred())
	for _, port := range ports {
		all = append(all, port.Qdiscs...)
		for _, from := range port.From {
			all = append(all, from.Qdiscs...)
		}
	}
	return all
}

func atSwitch(o office) queue { GinkgoHelper(); return longest(switchQueues(o.fw.Lab())) }

var _ = Describe("a queue that is slow", func() {
	const fillers = 20
	DescribeTable("is named with how many wait there, and isolates nobody", func(ctx SpecContext, at string, leg evidence.Role, slow func(office) error, waits func(office) queue) {
		o := newOffice("")
		o.warm(ctx)
		Expect(slow(o)).To(Succeed())
		if leg == evidence.Request {
			fill(o.client, o.server, fillers)
		} else {
			fill(o.server, o.client, fillers)
		}
		Eventually(func() uint32 { return waits(o).holds }, time.Minute).Should(BeNumerically(">", fillers/2), "the control: most of them wait")
		for _, p := range asked(300 * time.Millisecond) {
			before := waits(o).had
			r, err := probes.Watch(ctx, o.client, o.server, p)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Queued), HaveField("Leg", leg))), "%s: %s", r, r.Timeline)
			Expect(r.Cause.Node+"/"+r.Cause.Interface).To(Equal(at), "%s", r.Cause)
			Expect(r.Cause.String()).To(MatchRegexp(`was waiting at %s: .*in tbf \(rate 0.001 Mbit/s\), \d+ packets queued`, at))
			Expect(waits(o).had).To(BeNumerically(">", before), "the judge: the queue's own count")
			o.isolatesNobody(r)
			holds, err := probes.BeIsolatedFrom(o.server).Because(evidence.Queued).Match(r)
			Expect(holds).To(BeFalse(), "also where that would be expected: it may arrive later")
			if leg == evidence.Request {
				Expect(err).To(MatchError(ContainSubstring("it may arrive later")))
			}
		}
	},
		Entry("at the asker", "client/lan", evidence.Request, func(o office) error { return o.client.Port("lan").Impair(crawls) }, func(o office) queue { return waiting(o.client, "lan") }),
		Entry("on the way", "fw/dmz", evidence.Request, func(o office) error { return o.fw.Port("dmz").Impair(crawls) }, func(o office) queue { return waiting(o.fw, "dmz") }),
		Entry("at a switch's end", "fw/lan", evidence.Request, func(o office) error { return o.fw.Port("lan").ImpairReceived(crawls) }, atSwitch),
		Entry("at a switch's end, of what the asker sends", "fw/lan", evidence.Request, func(o office) error { return o.fw.Port("lan").ImpairReceivedFrom(o.client.Port("lan"), crawls) }, atSwitch),
		Entry("at a switch's end, of the answer", "client/lan", evidence.Answer, func(o office) error { return o.client.Port("lan").ImpairReceivedFrom(o.fw.Port("lan"), crawls) }, atSwitch),
		Entry("of the answer", "server/dmz", evidence.Answer, func(o office) error { return o.server.Port("dmz").Impair(crawls) }, func(o office) queue { return waiting(o.server, "dmz") }),
	)
})

var _ = Describe("a delay that is longer than a probe waits", func() {
	It("is named with what waits there, and isolates nobody", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Netem)
		o := newOffice("")
		o.warm(ctx)
		Expect(o.fw.Port("dmz").Impair(topo.Impairment{Delay: 10 * time.Minute})).To(Succeed())
		for _, p := range asked(300 * time.Millisecond) {
			r, err := probes.Watch(ctx, o.client, o.server, p)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Queued), HaveField("Node", "fw"), HaveField("Interface", "dmz"))), "%s: %s", r, r.Timeline)
			Expect(r.Cause.String()).To(MatchRegexp(`in netem \(delay \S+\), \d+ packets? queued$`))
			o.isolatesNobody(r)
		}
		Expect(waiting(o.fw, "dmz").holds).To(BeNumerically(">", 1), "the judge: the queue's own count")
	})
})
