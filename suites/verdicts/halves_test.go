package verdicts_test

import (
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

var _ = Describe("where only the answer dies", func() {
	It("nobody is isolated, and the answer's end is named", func(ctx SpecContext) {
		s := ruled(drop(`iifname "wan" drop comment "nothing comes back"`))
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		greeted := streams(site, 80, true)
		for _, p := range []probes.Probe{icmp, echo, web} {
			notIsolated(ctx, pc, site, p)
			Expect(pc).To(probes.BeUnansweredBy(site, p).At("fw").By("nothing comes back").WithContext(ctx))
		}
		Eventually(heard.heard).ShouldNot(BeEmpty())
		Expect(greeted.accepted()).To(BeZero(), "the handshake is not over")

		matrix, err := probes.WatchSurvey(ctx, s.lab, icmp)
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("pc", "site")).To(Equal("answer:drop@fw"))
	})

	It("nor where it is refused on its way back, which nobody waits for", func(ctx SpecContext) {
		s := ruled(drop(`iifname "wan" reject comment "sent back"`))
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		streams(site, 80, true)
		for _, p := range []probes.Probe{icmp, echo, web} {
			Expect(pc).To(probes.BeUnansweredBy(site, p).At("fw").By("sent back").WithContext(ctx))
			r, err := probes.Watch(ctx, pc, site4, p)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Outcome).To(Equal(probes.Silent))
			if p.String() != echo.String() { // a program may answer it once more
				Expect(r.RTT).To(BeNumerically("<", time.Second), "the end of every packet was seen")
			}
		}
		Eventually(heard.heard).ShouldNot(BeEmpty())
	})

	It("and where the request dies, it is not unanswered but isolated", func(ctx SpecContext) {
		s := ruled(drop(`iifname "lan" drop comment "nothing leaves"`))
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, 0)
		for _, p := range []probes.Probe{icmp, echo, web} {
			Expect(pc).To(probes.BeIsolatedFrom(site, p).At("fw").By("nothing leaves").WithContext(ctx))
			Expect(holds(probes.BeUnansweredBy(site, p).WithContext(ctx), pc)).To(BeFalse())
		}
		Expect(heard.heard()).To(BeEmpty())
	})

	DescribeTable("and a further answer of the same program may be another", func(ctx SpecContext, rule string) {
		s := ruled(drop(`iifname "wan" ` + rule + ` drop comment "short"`))
		pc, site := s.node("pc"), s.node("site")
		packets(site, netip.AddrPortFrom(netip.Addr{}, 7), func(conn net.PacketConn, from net.Addr, _ []byte) {
			_, _ = conn.WriteTo([]byte("ok"), from)
			time.AfterFunc(200*time.Millisecond, func() { _, _ = conn.WriteTo([]byte("here is the whole answer"), from) })
		})
		Expect(probes.BeUnansweredBy(site, echo).WithContext(ctx).Match(pc)).To(BeFalse())

		By("asking with a plain socket")
		conn, err := pc.Dial(ctx, "udp", netip.AddrPortFrom(site4, 7))
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(conn.Close()).To(Succeed()) }()
		_, err = conn.Write([]byte("x"))
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.SetReadDeadline(time.Now().Add(soon))).To(Succeed())
		got := make([]byte, 64)
		n, err := conn.Read(got)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got[:n])).To(HavePrefix("here is"))
	},
		Entry("by its length", "udp length < 20"),
		Entry("by what it says", "@th,64,8 0x6f"),
	)

	It("and an answer that comes is no end", func(ctx SpecContext) {
		s := planned().up()
		Expect(holds(probes.BeUnansweredBy(s.node("site"), icmp).WithContext(ctx), s.node("pc"))).To(BeFalse())
	})
})

var _ = Describe("the commonest host firewall", func() {
	It("isolates in both families, though it keeps neighbours from being found", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("host")
		lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
		network.Host("pc", lan)
		network.Host("neighbour", wan)
		network.Router("fw", lan, wan)
		network.Host("site", wan).Nft(`table inet filter { chain input { type filter hook input priority 0; policy drop; iif lo accept; ct state established,related accept; }; }`)
		s := (&site{network: network}).up()
		heard := datagrams(s.node("site"), 7, 0)
		for _, name := range []string{"pc", "neighbour"} {
			Expect(s.node(name)).To(probes.BeIsolatedFrom(s.node("site"), icmp, ssh, echo).At("site").By("policy drop of inet filter input").WithContext(ctx))
			Expect(s.node(name)).To(probes.BeIsolatedFrom(s.node("site"), icmp).Because(evidence.Drop).WithContext(ctx))
		}
		Expect(heard.heard()).To(BeEmpty())
	})

	It("and a leak behind it is seen by a frame to the known MAC", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("leak")
		lan := network.Switch("lan", "fd00:1::/64")
		network.Host("pc", lan)
		network.Host("site", lan).Nft(`table inet filter { chain input { type filter hook input priority 0;
			icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } drop comment "no neighbours"; }; }`)
		s := (&site{network: network}).up()
		heard := datagrams(s.node("site"), 7, 0)
		notIsolated(ctx, s.node("pc"), s.node("site").On("lan"), echo)
		Eventually(heard.heard).ShouldNot(BeEmpty())
	})
})

var _ = Describe("a bare check", func() {
	It("asks for what rules and listeners name", func(ctx SpecContext) {
		for _, rules := range []string{
			`table inet f { chain forward { type filter hook forward priority 0; policy drop; udp sport 53 accept; }; }`,
			`table inet f { chain forward { type filter hook forward priority 0; policy drop; tcp dport 8443 accept; ct state established accept; }; }`,
			`table inet f { chain forward { type filter hook forward priority 0; policy drop; tcp dport 8000-8999 accept; }; }`,
			drop(`icmp type echo-request drop comment "no ping"`),
		} {
			s := ruled(rules)
			datagrams(s.node("site"), 7, 0)
			streams(s.node("site"), 80, true)
			streams(s.node("site"), 8443, true)
			Expect(holds(probes.BeIsolatedFrom(s.node("site")).WithContext(ctx), s.node("pc"))).To(BeFalse(), rules)
		}
	})

	It("holds where everything is closed", func(ctx SpecContext) {
		s := ruled(`table inet f { chain forward { type filter hook forward priority 0; policy drop; iifname "wan" accept; }; }`)
		datagrams(s.node("site"), 7, 0)
		streams(s.node("site"), 80, true)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site")).At("fw").WithContext(ctx))
	})

	It("may leave out what is meant to be open", func(ctx SpecContext) {
		s := ruled(`table inet f { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; tcp dport 80 accept; }; }`)
		streams(s.node("site"), 80, true)
		Expect(holds(probes.BeIsolatedFrom(s.node("site")).WithContext(ctx), s.node("pc"))).To(BeFalse())
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site")).Except(web).At("fw").WithContext(ctx))
	})

	It("is not answered where the rule is about users", func(ctx SpecContext) {
		s := planned()
		s.pc.Nft(`table inet f { chain output { type filter hook output priority 0; meta skuid 0 drop comment "not root"; }; }`)
		s.up()
		Expect(holds(probes.BeIsolatedFrom(s.node("site")).WithContext(ctx), s.node("pc"))).To(BeFalse())
	})
})

var _ = Describe("what nobody answers", func() {
	It("has arrived, and has no answer that could be stopped", func(ctx SpecContext) {
		s := planned().up()
		pc, site := s.node("pc"), s.node("site")
		Expect(site.SetSysctl("net.ipv4.icmp_echo_ignore_all", "1")).To(Succeed())
		for _, p := range []probes.Probe{icmp, ssh, echo} {
			ok, err := probes.BeUnansweredBy(site, p).WithContext(ctx).Match(pc)
			Expect(ok).To(BeFalse())
			Expect(err).To(MatchError(And(ContainSubstring("the request arrived, and nobody there answers it"), Not(ContainSubstring("did not arrive")))))
		}
	})
})
