package verdicts_test

import (
	"context"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// connects is a plain program that connects, and waits longer than a kernel does before it repeats
// its SYN.
func connects(node *harness.Node, to netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := node.Dial(ctx, "tcp", to)
	if err == nil {
		err = conn.Close()
	}
	return err
}

var _ = Describe("a SYN that asks for ECN", func() {
	// The kernel repeats it without (tcp_ecn_fallback), and that one passes.
	DescribeTable("does not stand for the next one of its connection", func(ctx SpecContext, rules string) {
		s := planned()
		s.pc.Sysctl("net.ipv4.tcp_ecn", "1")
		s.fw.Nft(drop(rules))
		s.up()
		pc, site := s.node("pc"), s.node("site")
		met := streams(site, 80, false)
		Expect(connects(pc, netip.AddrPortFrom(site4, 80))).To(Succeed(), "the judge")
		Eventually(met.accepted).ShouldNot(BeZero(), "the judge")
		notIsolated(ctx, pc, site, web, "the ECN flags of TCP")
	},
		Entry("where they are dropped by a mask", `tcp flags & (ecn | cwr) == (ecn | cwr) drop`),
		Entry("where all but a plain SYN is", `ct state new tcp flags != syn drop`),
		Entry("of a set", `ct state new tcp flags != { syn, ack } drop`),
	)

	It("nor one that does not", func(ctx SpecContext) {
		s := ruled(drop(`tcp flags == syn drop`))
		pc, site := s.node("pc"), s.node("site")
		streams(site, 80, false)
		notIsolated(ctx, pc, site, web, "the ECN flags of TCP")
		Expect(pc.SetSysctl("net.ipv4.tcp_ecn", "1")).To(Succeed())
		Expect(connects(pc, netip.AddrPortFrom(site4, 80))).To(Succeed(), "the judge")
	})

	DescribeTable("is like any other where a rule leaves its flags out", func(ctx SpecContext, rules string, p probes.Probe) {
		s := planned()
		s.pc.Sysctl("net.ipv4.tcp_ecn", "1")
		s.fw.Nft(drop(rules))
		s.up()
		met := streams(s.node("site"), 80, false)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), p).By("no connections").WithContext(ctx))
		Expect(met.accepted()).To(BeZero(), "the judge")
	},
		Entry("by a mask", `tcp flags & (fin | syn | rst | ack) == syn drop comment "no connections"`, web),
		Entry("by a word", `tcp flags syn drop comment "no connections"`, web),
		Entry("as all is dropped", `tcp flags & (ecn | cwr) == 0 drop comment "no others"; tcp dport 80 drop comment "no connections"`, web),
		Entry("and where the flags are the test's", `tcp flags == syn drop comment "no connections"`, probes.Segment(80, probes.SYN)),
	)
})
