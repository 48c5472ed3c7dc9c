package verdicts_test

import (
	"fmt"

	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// unreached says that neither a matcher nor a survey says that pc reaches site.
func unreached(ctx SpecContext, s *site, p probes.Probe) {
	GinkgoHelper()
	p = p.Within(2 * silence)
	for range 2 {
		Expect(holds(probes.Reach(s.node("site"), p).WithContext(ctx), s.node("pc"))).To(BeFalse(), "Reach")
		for name, survey := range map[string]func() (*probes.Matrix, error){
			"Survey":      func() (*probes.Matrix, error) { return probes.Survey(ctx, s.lab, p) },
			"WatchSurvey": func() (*probes.Matrix, error) { return probes.WatchSurvey(ctx, s.lab, p) },
		} {
			matrix, err := survey()
			Expect(err).NotTo(HaveOccurred())
			Expect(matrix.Cell("pc", "site")).NotTo(Equal("ok"), name)
		}
	}
}

var _ = Describe("an answer of somebody else is no yes", func() {
	DescribeTable("as fw takes the connection for the site that is served", func(ctx SpecContext, rules string, greets bool) {
		s := ruled(rules)
		probes.Serve(GinkgoTB(), s.node("site"), web)
		streams(s.node("fw"), 3128, greets)
		unreached(ctx, s, web)
	},
		Entry("redirected to a silent proxy", `table ip n { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :3128; }; }`, false),
		Entry("redirected to one that talks", `table ip n { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :3128; }; }`, true),
	)

	It("as another program of the site has the connection for its responder", func(ctx SpecContext) {
		s := planned()
		s.site.Nft(`table ip n { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :3128; }; }`)
		s.up()
		probes.Serve(GinkgoTB(), s.node("site"), web)
		streams(s.node("site"), 3128, false)
		unreached(ctx, s, web)
	})

	DescribeTable("as the site that is not served has a listener of its own", func(ctx SpecContext, rules string) {
		s := ruled(rules)
		streams(s.node("site"), 80, false)
		streams(s.node("fw"), 3128, true)
		unreached(ctx, s, web)
	},
		Entry("redirected", `table ip n { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :3128; }; }`),
		Entry("a synproxy with all behind it dropped", `table ip n {
			chain pre { type filter hook prerouting priority -300; tcp dport 80 tcp flags syn notrack; }
			chain onward { type filter hook forward priority 0; ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; }
			chain post { type filter hook postrouting priority 0; oifname "wan" drop; }; }`),
	)

	It("nor is a datagram's, or an echo's, that another host answers", func(ctx SpecContext) {
		s := planned()
		s.network.Host("other", s.wan)
		s.fw.Nft(`table ip n { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.9.1 dnat to 10.0.9.3; }; }`)
		s.up()
		datagrams(s.node("other"), 7, 0)
		datagrams(s.node("site"), 7, 0)
		streams(s.node("other"), 80, true)
		for _, p := range []probes.Probe{icmp, echo, web} {
			unreached(ctx, s, p)
		}
	})

	It("nor is that of the node that has the address now", func(ctx SpecContext) {
		s := planned().up()
		add(s.node("fw"), "lan", "10.0.9.1/32")
		for _, p := range []probes.Probe{icmp} {
			unreached(ctx, s, p)
		}
	})

	It("nor the forwarder's, whose port leads to another; that is asked for by name", func(ctx SpecContext) {
		s := ruled(`table ip n { chain pre { type nat hook prerouting priority -100; iifname "lan" tcp dport 8080 dnat to 10.0.9.1:80; }; }`)
		probes.Serve(GinkgoTB(), s.node("site"), web)
		pc, fw := s.node("pc"), s.node("fw")
		forwarded := probes.TCP(8080)
		Expect(holds(probes.Reach(fw, forwarded).WithContext(ctx), pc)).To(BeFalse())
		Expect(pc).To(probes.Reach(fw.On("lan"), forwarded).AnsweredBy("site").WithContext(ctx))
		Expect(holds(probes.Reach(fw.On("lan"), forwarded).AnsweredBy("fw").WithContext(ctx), pc)).To(BeFalse())
	})
})

var _ = Describe("a handshake is no connection", func() {
	for _, served := range []bool{true, false} {
		DescribeTable(fmt.Sprintf("where no byte passes (served by us: %v)", served), func(ctx SpecContext, rule string) {
			s := ruled(drop(rule))
			if served {
				probes.Serve(GinkgoTB(), s.node("site"), web)
			} else {
				streams(s.node("site"), 80, true)
			}
			unreached(ctx, s, web)
		},
			Entry("the last ACK is dropped", `iifname "lan" tcp flags & (syn | ack) == ack drop`),
			Entry("all but the first two are dropped", `ct original packets > 1 drop`),
		)
	}
	DescribeTable("where data does not pass to who serves", func(ctx SpecContext, rule string) {
		s := ruled(drop(rule))
		probes.Serve(GinkgoTB(), s.node("site"), web)
		unreached(ctx, s, web)
	},
		Entry("data is dropped", `ct state established meta length > 60 drop`),
		Entry("all but the handshake is dropped", `ct original packets > 2 drop`),
		Entry("the answer's data is dropped", `iifname "wan" meta length > 60 drop`),
		Entry("data is reset", `iifname "lan" meta length > 60 meta l4proto tcp reject with tcp reset`),
	)

	It("and a synproxy that works is the site, through fw", func(ctx SpecContext) {
		s := ruled(`table ip n {
			chain pre { type filter hook prerouting priority -300; iifname "lan" tcp dport 80 tcp flags syn notrack; }
			chain onward { type filter hook forward priority 0; iifname "lan" tcp dport 80 ct state { invalid, untracked } synproxy mss 1460 wscale 7 sack-perm; ct state invalid drop; }; }`)
		Expect(s.node("fw").SetSysctl("net.netfilter.nf_conntrack_tcp_loose", "0")).To(Succeed())
		probes.Serve(GinkgoTB(), s.node("site"), web)
		Expect(s.node("pc")).To(probes.Reach(s.node("site"), web).WithContext(ctx))
		result, err := probes.Watch(ctx, s.node("pc"), s.node("site"), web)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.By).To(Equal("site"))
	})
})

var _ = Describe("a probe rides on no earlier one's connection", func() {
	It("so that what is new is lost, and what is not new is not asked", func(ctx SpecContext) {
		s := ruled(`table inet f { chain forward { type filter hook forward priority 0; ct state established accept; }; }`)
		probes.Serve(GinkgoTB(), s.node("site"), web, echo)
		pc, site := s.node("pc"), s.node("site")
		all := []probes.Probe{icmp, echo, web}
		Expect(pc).To(probes.Reach(site, all...).WithContext(ctx))
		Expect(s.node("fw").Nft(`add rule inet f forward ct state new drop comment "nothing new"`)).To(Succeed())
		for range 3 {
			Expect(pc).To(probes.BeIsolatedFrom(site, all...).At("fw").By("nothing new").WithContext(ctx))
			for _, p := range all {
				bare, err := probes.Ask(ctx, pc, site, p.Within(silence))
				Expect(err).NotTo(HaveOccurred())
				Expect(bare.Outcome).To(Equal(probes.Silent), "%s", bare)
				matrix, err := probes.Survey(ctx, s.lab, p.Within(silence))
				Expect(err).NotTo(HaveOccurred())
				Expect(matrix.Cell("pc", "site")).To(Equal("silent"))
			}
		}
	})
})
