package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

var _ = Describe("a mark that some packets get", func() {
	brief := probes.UDP(53).Within(silence)
	// marked is the detour, by which fw sends what has mark 7: out by wan it drops.
	marked := func(rules string) *site {
		GinkgoHelper()
		s := detour("")
		fw := s.node("fw")
		Expect(fw.Nft("flush ruleset\ntable ip f { chain c { type filter hook forward priority 0; oifname wan drop; }; }\n" + rules)).To(Succeed())
		route(fw, 100, "10.0.9.0/24", "side", "10.0.5.2")
		policed(fw, func(r *netlink.Rule) { r.Table, r.Mark = 100, 7 })
		return s
	}
	pre := func(rule string) string {
		return `table ip m { chain pre { type filter hook prerouting priority -300; iifname lan udp dport 53 ` + rule + `; }; }`
	}

	DescribeTable("is a leak where routing, or another rule, lets in by it", func(ctx SpecContext, routed bool, rules string, from uint16, words string) {
		s := ruled("table ip none { }")
		if routed {
			s = marked(rules)
		} else {
			Expect(s.node("fw").Nft(rules)).To(Succeed())
		}
		heard := datagrams(s.node("site"), 53, -1)
		for range 3 {
			notIsolated(ctx, s.node("pc"), site4, brief)
		}
		Eventually(func() []string {
			says(s.node("pc"), netip.AddrPortFrom(netip.Addr{}, from), netip.AddrPortFrom(site4, 53), 20, words)
			return heard.heard()
		}, 5*time.Second, 100*time.Millisecond).Should(ContainElement(words))
	},
		Entry("by chance", true, pre("numgen random mod 9 7 meta mark set 7"), uint16(0), "x"),
		Entry("by a limit", true, pre("limit rate 2/second burst 1 packets meta mark set 7"), uint16(0), "x"),
		Entry("by its length", true, pre("udp length < 20 meta mark set 7"), uint16(0), "x"),
		Entry("by a map of source ports", true, pre("meta mark set udp sport map { 32768-60999 : 0, 1-32767 : 7, 61000-65535 : 7 }"), uint16(77), "x"),
		Entry("by a mark of its connection", true, `table ip m { chain pre { type filter hook prerouting priority -150; numgen random mod 9 7 ct mark set 7; meta mark set ct mark; }; }`, uint16(0), "x"),
		Entry("that forward accepts", false, pre("numgen random mod 9 7 meta mark set 7")+"\ntable ip f { chain c { type filter hook forward priority 0; policy drop; meta mark 7 accept; }; }", uint16(0), "x"),
		Entry("of its connection, that forward accepts", false, `table ip m { chain pre { type filter hook prerouting priority -150; meta length < 40 ct mark set 7; }; }
			table ip f { chain c { type filter hook forward priority 0; policy drop; ct mark 7 accept; }; }`, uint16(0), "x"),
		Entry("that keeps it from being tracked, which forward accepts", false, pre("numgen random mod 9 7 notrack")+"\ntable ip f { chain c { type filter hook forward priority 0; policy drop; ct state untracked accept; }; }", uint16(0), "x"),
		Entry("by the number of its connection", false, "table ip f { chain c { type filter hook forward priority 0; ct id & 7 != 0 drop; }; }", uint16(0), "x"),
	)

	DescribeTable("is nothing where nobody asks for it", func(ctx SpecContext, rules string) {
		s := detour(rules)
		heard := datagrams(s.node("site"), 53, -1)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(site4, brief.Within(soon)).At("fw").WithContext(ctx))
		says(s.node("pc"), netip.AddrPort{}, netip.AddrPortFrom(site4, 53), 50, "x")
		Consistently(heard.heard, silence).Should(BeEmpty())
	},
		Entry("by chance", pre("numgen random mod 9 7 meta mark set 7")),
		Entry("by its class", pre("ip dscp ef meta mark set 7")),
		Entry("by a limit, of its connection", `table ip m { chain pre { type filter hook prerouting priority -150; limit rate 5/second ct mark set 7; }; }`),
		Entry("as nothing is tracked", `table ip m { chain pre { type filter hook prerouting priority -300; meta length < 40 notrack; }; }`),
	)
})
