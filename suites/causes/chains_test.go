package causes_test

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// keywords are words of nft's own language, which iptables takes for a chain's name as any
// other: every ruleset of Shorewall has some.
var keywords = []string{
	"reject", "drop", "log", "limit", "dynamic", "accept", "counter", "tcp", "policy", "meta", "ct", "set", "jump", "chain", "rule", "table", "type", "hook", "queue", "return",
}

var _ = Describe("a chain that is called like a word of nft's", func() {
	It("is named, with its rules in their own words", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Tool("iptables-nft"))
		o := up()
		var text strings.Builder
		for _, name := range keywords {
			text.WriteString(":" + name + " - [0:0]\n")
		}
		for i, name := range keywords {
			text.WriteString("-A FORWARD -p udp --dport " + port(i) + " -j " + name + "\n-A " + name + " -p udp --dport " + port(i) + " -j DROP\n")
		}
		Expect(o.fw.Iptables("*filter\n" + text.String() + "COMMIT\n")).To(Succeed())
		judge := echo(ctx, o.server, anywhere(portOf(0)))
		for i, name := range keywords {
			results := isolated(ctx, o.client, server4, "fw", evidence.Drop, "ip filter "+name, probes.UDP(portOf(i)))
			Expect(results).To(HaveEach(WithTransform(causeOf, HaveSuffix(`rule "udp dport `+port(i)+` counter drop" of ip filter `+name))))
		}
		Expect(judge.came()).To(BeZero(), "the judge: nothing arrived")
		Expect(countedBy(o.fw)).To(BeNumerically(">=", 2*len(keywords)), "the judge: the rules' own counts")

		lift(o.fw)
		o.reaches(ctx, all...)
	})
})

var _ = Describe("a chain of nftables", func() {
	DescribeTable("isolates at whatever priority it is", func(ctx SpecContext, hook, priority string, p probes.Probe) {
		o := ruled(atFw, `table inet f { chain c { type filter hook `+hook+` priority `+priority+`; meta l4proto { tcp, udp } counter drop comment "closed"; icmp type echo-request counter drop comment "closed"; }; }`)
		judge := echo(ctx, o.server, anywhere(7))
		isolated(ctx, o.client, server4, "fw", evidence.Drop, "closed", p)
		Expect(judge.came()).To(BeZero(), "the judge: nothing arrived")
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule's own count")

		lift(o.fw)
		o.reaches(ctx, all...)
	},
		Entry("before all else", "prerouting", "-2147483648", probes.UDP(7)),
		Entry("before tracking", "prerouting", "-1000", icmp),
		Entry("after translation", "prerouting", "2000", web),
		Entry("late in forward", "forward", "2147483646", probes.UDP(7)),
		Entry("after all else", "postrouting", "2147483647", probes.UDP(7)),
	)
})

// portOf is a port of a rule's own.
func portOf(i int) uint16 { return uint16(7000 + i) }

func port(i int) string { return strconv.Itoa(int(portOf(i))) }

// anywhere is a port at every address.
func anywhere(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.Addr{}, port) }
