package verdicts_test

import (
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// dropping is a table whose forward chain drops what its rules do not accept, with other
// chains, sets and maps beside it.
func dropping(rules string, beside ...string) string {
	return "table inet filter { " + strings.Join(append(beside, ""), "\n") + "chain forward { type filter hook forward priority 0; policy drop; " + rules + "; }; }"
}

var _ = Describe("a bare check asks a source port and a destination port together", func() {
	DescribeTable("where a rule lets in both together alone", func(ctx SpecContext, rules string) {
		s := ruled(rules)
		pc, site := s.node("pc"), s.node("site")
		isolated := holds(probes.BeIsolatedFrom(site).WithContext(ctx), pc)
		heard := datagrams(site, 4444, -1)
		sending{to: netip.AddrPortFrom(site4, 4444), source: netip.MustParseAddrPort("10.0.1.1:53")}.send(pc)
		Eventually(heard.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		Expect(isolated).To(BeFalse())
	},
		Entry("of a set", dropping(`udp sport . udp dport { 53 . 4444 } accept`)),
		Entry("of a set with more", dropping(`ip saddr . udp sport . udp dport { 10.0.1.1 . 53 . 4444 } accept`)),
		Entry("of a named set", dropping(`udp sport . udp dport @pairs accept`, `set pairs { type inet_service . inet_service; elements = { 1 . 2, 53 . 4444 }; }`)),
		Entry("of a map of verdicts", dropping(`udp sport . udp dport vmap { 53 . 4444 : accept, 54 . 4445 : drop }`)),
		Entry("of a set of ranges", dropping(`udp sport . udp dport { 50-60 . 4440-4450 } accept`)),
		Entry("in two conditions", dropping(`udp sport 53 udp dport 4444 accept`)),
		Entry("in two of any protocol", dropping(`meta l4proto udp th sport 53 th dport 4444 accept`)),
		Entry("in ranges", dropping(`udp sport 50-60 udp dport 4400-4500 accept`)),
		Entry("one behind a jump", dropping(`udp sport 53 jump deeper`, `chain deeper { udp dport 4444 accept; }`)),
		Entry("one behind a map of jumps", dropping(`udp dport vmap { 4444 : jump deeper }`, `chain deeper { udp sport 53 accept; }`)),
		Entry("by a mark", dropping(`udp sport 53 meta mark set 7
			meta mark 7 udp dport 4444 accept`)),
		Entry("by what is dropped before", dropping(`udp sport != 53 drop
			udp dport 4444 accept`)),
		Entry("of translation", dropping(`meta l4proto udp ct original proto-dst 4444 udp sport 53 accept`)),
		Entry("as four bytes", dropping(`meta l4proto udp @th,0,32 0x0035115c accept`)),
		Entry("in masks", dropping(`udp sport & 0xff == 53 udp dport & 0xfff == 348 accept`)),
		Entry("by a mark of the connection", dropping(`udp sport 53 ct mark set 7
			ct mark 7 udp dport 4444 accept`)),
		Entry("by a goto", dropping(`udp dport 4444 goto deeper`, `chain deeper { udp sport != 53 drop; accept; }`)),
		Entry("by a map of marks", dropping(`meta mark set udp sport map { 53 : 7, 54 : 8 }
			meta mark . udp dport { 7 . 4444 } accept`)),
		Entry("by a return", dropping(`jump deeper
			udp dport 4444 accept`, `chain deeper { udp sport 53 return; drop; }`)),
		Entry("at the asker", dropping(`meta mark 7 drop
			ip dscp 0x2e udp dport 4444 accept`, `chain pre { type filter hook prerouting priority 0; udp sport 53 ip dscp set 0x2e; }`)),
		Entry("one at another hook", dropping(`meta mark 7 udp dport 4444 accept`, `chain pre { type filter hook prerouting priority 0; udp sport 53 meta mark set 7; }`)),
	)

	It("and of iptables", func(ctx SpecContext) {
		s := planned().up()
		fw, pc, site := s.node("fw"), s.node("pc"), s.node("site")
		Expect(fw.Iptables("*filter\n:FORWARD DROP\n-A FORWARD -p udp -m udp --sport 53 --dport 4444 -j ACCEPT\nCOMMIT\n")).To(Succeed())
		isolated := holds(probes.BeIsolatedFrom(site).WithContext(ctx), pc)
		heard := datagrams(site, 4444, -1)
		sending{to: netip.AddrPortFrom(site4, 4444), source: netip.MustParseAddrPort("10.0.1.1:53")}.send(pc)
		Eventually(heard.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		Expect(isolated).To(BeFalse())
	})

	It("and holds where no pair is let in", func(ctx SpecContext) {
		s := ruled(dropping(`udp sport . udp dport { 53 . 4444 } drop
			iifname "wan" udp sport 53 udp dport 4445 accept`))
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site")).At("fw").WithContext(ctx))
	})
})
