package verdicts_test

import (
	"net/netip"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("one packet does not stand for all", func() {
	DescribeTable("where rules remember, count or throw dice", func(ctx SpecContext, rules string, p probes.Probe) {
		s := ruled(rules)
		pc, site := s.node("pc"), s.node("site")
		streams(site, 80, true)
		for range 4 {
			Expect(holds(probes.BeIsolatedFrom(site, p).WithContext(ctx), pc)).To(BeFalse())
		}
	},
		Entry("the first SYN of each connection", `table ip f {
			set seen { type ipv4_addr . inet_service; flags dynamic; size 1024; }
			chain forward { type filter hook forward priority 0; tcp flags syn / syn,ack ip saddr . tcp sport != @seen add @seen { ip saddr . tcp sport } drop; }; }`, web),
		Entry("every other packet", drop(`numgen inc mod 2 0 drop`), icmp),
		Entry("one in ten, by chance, passes", drop(`numgen random mod 10 != 0 drop`), icmp),
		Entry("what a rate lets in", `table ip f { chain forward { type filter hook forward priority 0; policy drop; limit rate 1/minute burst 1 packets accept; }; }`, icmp),
		Entry("what a quota lets in", `table ip f { chain forward { type filter hook forward priority 0; policy drop; quota 100 bytes accept; }; }`, icmp),
		Entry("who is in a set that packets fill", `table ip f {
			set friends { type ipv4_addr; flags dynamic, timeout; timeout 1m; size 1024; }
			chain forward { type filter hook forward priority 0; policy drop; ip saddr @friends accept; tcp dport 7777 add @friends { ip saddr }; }; }`, icmp),
		Entry("how many connections there are", `table ip f { chain forward { type filter hook forward priority 0; ct count 1 accept; }
			chain late { type filter hook forward priority 1; tcp dport 80 ct count over 0 drop; }; }`, web),
	)

	DescribeTable("but what does not concern the packet does not matter", func(ctx SpecContext, rules string) {
		s := ruled(rules)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), icmp, ssh).At("fw").WithContext(ctx))
	},
		Entry("a rate for another port", `table inet f { chain forward { type filter hook forward priority 0; policy drop; tcp dport 443 limit rate 1/minute accept; }; }`),
		Entry("a rate that only logs", `table inet f { chain forward { type filter hook forward priority 0; policy drop; limit rate 1/minute counter; }; }`),
		Entry("a set that is only filled", `table inet f {
			set seen { type ipv4_addr; flags dynamic; size 1024; }
			chain forward { type filter hook forward priority 0; policy drop; add @seen { ip saddr }; }; }`),
	)

	It("nor where others are counted between", func(ctx SpecContext) {
		s := ruled(drop(`ip protocol { icmp, tcp } numgen inc mod 2 0 drop; tcp dport 22 drop`))
		pc, site := s.node("pc"), s.node("site")
		for range 4 {
			Expect(holds(probes.BeIsolatedFrom(site, icmp, ssh).WithContext(ctx), pc)).To(BeFalse())
			Expect(holds(probes.BeIsolatedFrom(site, ssh, icmp).WithContext(ctx), pc)).To(BeFalse())
		}
	})

	It("nor where a call from the other side has it expected", func(ctx SpecContext) {
		s := ruled(`table ip f {
			ct expectation back { protocol udp; dport 7; timeout 1m; size 12; l3proto ip; }
			chain forward { type filter hook forward priority 0; policy drop
				ct state related accept
				udp dport 8000 ct expectation set "back" accept; }; }`)
		pc, site := s.node("pc"), s.node("site")
		notIsolated(ctx, pc, site, echo, "whether its connection is expected (ct expectation back)")
		Expect(pc).To(probes.BeIsolatedFrom(site, probes.UDP(9), icmp).At("fw").WithContext(ctx), "what nothing expects")
		Expect(pc).To(probes.BeIsolatedFrom(site, echo).Sampled(2).At("fw").WithContext(ctx))

		heard := datagrams(site, 7, -1) // plain sockets say it
		from, to := netip.MustParseAddrPort("10.0.1.1:0"), netip.AddrPortFrom(site4, 7)
		says(pc, from, to, 1, "before the call")
		says(site, netip.AddrPortFrom(site4, 0), netip.MustParseAddrPort("10.0.1.1:8000"), 1, "call me")
		says(pc, from, to, 1, "after it")
		Eventually(heard.heard).Should(ConsistOf("after it"))
	})

	It("and how often is enough may be said", func(ctx SpecContext) {
		s := ruled(`table ip f { chain forward { type filter hook forward priority 0; policy drop; iifname "wan" accept; limit rate 1/day burst 1 packets accept; }; }`)
		pc, site := s.node("pc"), s.node("site")
		Expect(pc).To(probes.Reach(site, icmp).WithContext(ctx)) // takes the token
		Expect(holds(probes.BeIsolatedFrom(site, icmp).WithContext(ctx), pc)).To(BeFalse())
		Expect(pc).To(probes.BeIsolatedFrom(site, icmp).Sampled(3).At("fw").WithContext(ctx))
	})

	It("nor one way, where there are two", func(ctx SpecContext) {
		network := topo.New("ways")
		lan, left, right, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("left", "10.0.2.0/24"), network.Switch("right", "10.0.3.0/24"), network.Switch("wan", "10.0.9.0/24")
		network.Host("pc", lan)
		network.Router("fork", lan, left, right)
		network.Router("open", left, wan)
		network.Router("closed", right, wan).Nft(drop(`drop comment "closed"`))
		network.Host("site", wan)
		s := (&site{network: network}).up()
		fork := s.node("fork")
		Expect(fork.SetSysctl("net.ipv4.fib_multipath_hash_policy", "1")).To(Succeed())
		spread(fork, "10.0.9.0/24", map[string]string{"left": "10.0.2.2", "right": "10.0.3.2"})
		for range 5 {
			Expect(holds(probes.BeIsolatedFrom(s.node("site"), ssh).WithContext(ctx), s.node("pc"))).To(BeFalse())
		}
	})
})
