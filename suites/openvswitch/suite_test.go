// Package openvswitch asks about networks whose switch is an Open vSwitch: what its flows end
// is named by them, and isolates; what is not shown does not. The judge is plain sockets, which
// write down what arrived, and the flows' own counts.
package openvswitch_test

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Open vSwitch")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
	harness.Require(GinkgoTB(), harness.OVS)
})

// pair is two hosts on an Open vSwitch with flows; web serves.
func pair(flows ...string) (lab *harness.Lab, pc, web *harness.Node) {
	GinkgoHelper()
	network := topo.New("ovs")
	lan := network.OVS("br-int", "10.0.1.0/24", "fd00:1::/64").Flow(flows...)
	network.Host("pc", lan)
	network.Host("web", lan)
	lab = harness.Up(GinkgoTB(), network)
	pc, web = lab.Node("pc"), lab.Node("web")
	probes.Serve(GinkgoTB(), web, probes.TCP(80), probes.UDP(53))
	return lab, pc, web
}

// whole are flows that drop what comes in fragments, which others take for no port's.
var whole = []string{"priority=40,ip,ip_frag=yes,actions=drop", "priority=40,ipv6,ip_frag=yes,actions=drop"}

// stays is how long nothing must come.
const stays = 200 * time.Millisecond

// neighbours are flows that let questions for neighbours pass.
var neighbours = []string{"priority=30,arp,actions=NORMAL", "priority=30,icmp6,icmp_type=135,actions=NORMAL", "priority=30,icmp6,icmp_type=136,actions=NORMAL"}

// large is more than an MTU.
const large = 3000

// delivered says what comes of datagrams to a port of a node's addresses, sent from a port: the
// judge.
func delivered(from, to *harness.Node, source, port uint16) (got int) {
	GinkgoHelper()
	return deliveredOf(from, to, source, port, "hello")
}

// deliveredOf is delivered of datagrams that say something.
func deliveredOf(from, to *harness.Node, source, port uint16, says string) (got int) {
	GinkgoHelper()
	for _, addr := range to.Addrs() {
		conn, err := to.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, port))
		Expect(err).NotTo(HaveOccurred())
		own := from.Addrs()[0]
		for _, a := range from.Addrs() {
			if a.Is6() == addr.Is6() {
				own = a
			}
		}
		sender, err := from.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(own, source))
		Expect(err).NotTo(HaveOccurred())
		_, err = sender.WriteTo([]byte(says), conn.LocalAddr())
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.SetReadDeadline(time.Now().Add(stays))).To(Succeed())
		if n, _, err := conn.ReadFrom(make([]byte, len(says))); err == nil && n == len(says) {
			got++
		}
		Expect(sender.Close()).To(Succeed())
		Expect(conn.Close()).To(Succeed())
	}
	return got
}

// noVerdict says that a check of isolation does not hold, and why.
func noVerdict(ctx context.Context, from *harness.Node, check *probes.IsolationMatcher, why string) {
	GinkgoHelper()
	ok, err := check.WithContext(ctx).Match(from)
	Expect(ok).To(BeFalse())
	Expect(err).To(MatchError(ContainSubstring(why)))
}

// counted is what a flow with that cookie has counted.
func counted(lab *harness.Lab, cookie string) string {
	GinkgoHelper()
	text, err := lab.OVS("br-int").Ofctl("dump-flows", "cookie="+cookie+"/-1")
	Expect(err).NotTo(HaveOccurred())
	_, text, _ = strings.Cut(text, "n_packets=")
	count, _, _ := strings.Cut(text, ",")
	return count
}

var _ = Describe("an Open vSwitch", func() {
	It("hands on what no flow ends, and who answers is proven", func(ctx SpecContext) {
		_, pc, web := pair()
		Expect(pc).To(probes.Reach(web, probes.ICMP()).WithContext(ctx))
		Expect(pc).To(probes.Reach(web, probes.TCP(80)).WithContext(ctx))
		Expect(pc).To(probes.Reach(web, probes.UDP(53)).WithContext(ctx))
		Expect(delivered(pc, web, 0, 5000)).To(Equal(2))
	})

	It("isolates by a flow that drops, which is named by its own words and its cookie, and matters", func(ctx SpecContext) {
		const flow = "cookie=0x2a,priority=10,udp,in_port=pc,udp_dst=53,actions=drop"
		lab, pc, web := pair(slices.Concat(whole, []string{flow, "cookie=0x2b,priority=10,udp6,in_port=pc,udp_dst=53,actions=drop"})...)
		Expect(deliveredOf(pc, web, 0, 5000, strings.Repeat("x", large))).To(BeZero())
		Expect(pc).To(probes.MustMatter(probes.BeIsolatedFrom(web, probes.UDP(53))).
			By("cookie=0x2a", "cookie=0x2b").Because(evidence.FlowDrop).At("pc").WithContext(ctx))
		Expect(pc).To(probes.BeIsolatedFrom(web.On("br-int"), probes.UDP(53)).By("priority=10,udp,in_port=pc,tp_dst=53,actions=drop", "cookie=0x2b").WithContext(ctx))
		Expect(counted(lab, "0x2a")).NotTo(Equal("0"))
		Expect(pc).To(probes.Reach(web, probes.TCP(80)).WithContext(ctx))
	})

	It("does not isolate where what is sent in fragments passes", func(ctx SpecContext) {
		_, pc, web := pair("priority=10,udp,in_port=pc,udp_dst=5000,actions=drop", "priority=10,udp6,in_port=pc,udp_dst=5000,actions=drop")
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(deliveredOf(pc, web, 0, 5000, strings.Repeat("x", large))).To(Equal(2))
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(5000)), "one that is so large that it is sent in fragments passes")
	})

	It("does not isolate where another flow label passes", func(ctx SpecContext) {
		_, pc, web := pair(slices.Concat(whole, []string{"priority=20,udp6,ipv6_label=0x12345,actions=NORMAL", "priority=10,udp6,in_port=pc,udp_dst=5000,actions=drop"})...)
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web.On("br-int"), probes.UDP(5000)), "ipv6_label=74565")
	})

	It("does not isolate where a controller is asked", func(ctx SpecContext) {
		_, pc, web := pair(slices.Concat(whole, []string{"priority=10,udp,in_port=pc,udp_dst=5000,actions=controller", "priority=10,udp6,in_port=pc,udp_dst=5000,actions=controller"})...)
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(5000)), "it decides by more than the packet (controller)")
	})

	It("is asked at each port that its flows name, where no probes are said", func(ctx SpecContext) {
		only := slices.Concat(whole, neighbours, []string{"priority=10,in_port=pc,actions=drop"})
		_, pc, web := pair(only...)
		Expect(pc).To(probes.BeIsolatedFrom(web).WithContext(ctx))

		_, pc, web = pair(slices.Concat(only, []string{"priority=20,udp,in_port=pc,udp_dst=5000,actions=NORMAL", "priority=20,udp6,in_port=pc,udp_dst=5000,actions=NORMAL"})...)
		Expect(delivered(pc, web, 0, 5000)).To(Equal(2))
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web), "udp/5000")
	})

	It("does not isolate where a flow makes the port of another", func(ctx SpecContext) {
		_, pc, web := pair(slices.Concat(whole, neighbours, []string{"priority=10,in_port=pc,actions=drop",
			"priority=20,udp,in_port=pc,udp_dst=99,actions=mod_tp_dst:5000,NORMAL", "priority=20,udp6,in_port=pc,udp_dst=99,actions=mod_tp_dst:5000,NORMAL"})...)
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(5000)), "what is sent to udp/99 there arrives")
	})

	It("isolates where no flow of a table is for it", func(ctx SpecContext) {
		lab, pc, web := pair(slices.Concat(whole, neighbours,
			[]string{"table=7,priority=10,tcp,actions=NORMAL", "table=7,priority=10,tcp6,actions=NORMAL", "priority=10,in_port=pc,actions=resubmit(,7)"})...)
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(pc).To(probes.MustMatter(probes.BeIsolatedFrom(web.On("br-int"), probes.UDP(5000))).By("no flow of table 7").WithContext(ctx))
		Expect(pc).To(probes.Reach(web, probes.TCP(80)).WithContext(ctx))

		By("asking where the first table has none")
		_, err := lab.OVS("br-int").Ofctl("del-flows", "--strict", "priority=10,in_port=pc")
		Expect(err).NotTo(HaveOccurred())
		_, err = lab.OVS("br-int").Ofctl("del-flows", "--strict", "priority=0")
		Expect(err).NotTo(HaveOccurred())
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(pc).To(probes.BeIsolatedFrom(web.On("br-int"), probes.UDP(5000)).By("no flow of table 0").WithContext(ctx))
	})

	It("is by the flow that did something last", func(ctx SpecContext) {
		_, pc, web := pair(slices.Concat(whole, []string{"priority=10,udp,in_port=pc,udp_dst=5000,actions=resubmit(,7),in_port", "table=7,priority=3,actions=drop",
			"priority=10,udp6,in_port=pc,udp_dst=5000,actions=drop"})...)
		Expect(pc).To(probes.BeIsolatedFrom(web, probes.UDP(5000)).By("priority=10,udp,in_port=pc,tp_dst=5000,actions=resubmit(,7),IN_PORT", "priority=10,udp6,in_port=pc,tp_dst=5000").WithContext(ctx))
	})

	It("isolates where a flow drops all of a port, questions for neighbours too", func(ctx SpecContext) {
		_, pc, web := pair("cookie=0x2a,priority=10,in_port=pc,actions=drop")
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(pc).To(probes.BeIsolatedFrom(web, probes.UDP(53), probes.TCP(80), probes.ICMP()).By("cookie=0x2a").WithContext(ctx))
	})

	It("does not isolate where another source port passes", func(ctx SpecContext) {
		_, pc, web := pair("priority=20,udp,tp_src=53,actions=NORMAL", "priority=20,udp6,tp_src=53,actions=NORMAL",
			"priority=10,udp,in_port=pc,actions=drop", "priority=10,udp6,in_port=pc,actions=drop")
		Expect(delivered(pc, web, 53, 5000)).To(Equal(2))
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(5000)), "another passes, which a program may send as well")
	})

	It("does not isolate where only questions for neighbours are dropped", func(ctx SpecContext) {
		_, pc, web := pair("priority=10,arp,actions=drop", "priority=10,icmp6,icmp_type=135,actions=drop")
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(53)), "only neighbour discovery stops the request")
	})

	It("is told apart from answers that a flow drops", func(ctx SpecContext) {
		_, pc, web := pair("cookie=0x2a,priority=10,udp,in_port=web,actions=drop", "cookie=0x2a,priority=10,udp6,in_port=web,actions=drop")
		Expect(delivered(pc, web, 0, 5000)).To(Equal(2))
		Expect(pc).To(probes.BeUnansweredBy(web, probes.UDP(53)).By("cookie=0x2a").WithContext(ctx))
		ok, err := probes.BeIsolatedFrom(web, probes.UDP(53)).WithContext(ctx).Match(pc)
		Expect(ok).To(BeFalse())
		Expect(err).To(BeNil())
	})
})
