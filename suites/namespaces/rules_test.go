package namespaces_test

import (
	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the rules of a network namespace", func() {
	DescribeTable("are its own, with nftables,", func(f family) {
		f.require()
		harness.Require(GinkgoTB(), harness.NftTool)
		outside, within := connected()
		// Echo requests: dropping all of ICMPv6 would stop the search for neighbours.
		Expect(within.Nft(`table inet closed { chain input { type filter hook input priority 0;
			icmp type echo-request drop; icmpv6 type echo-request drop; }; }`)).To(Succeed())
		Expect(tables(within)).To(ConsistOf("closed"))
		Expect(tables(outside)).To(BeEmpty())
		Expect(ask(outside, f.within, probes.ICMP().Within(quick)).Outcome).To(Equal(probes.Silent))
		Expect(ask(within, f.outside, probes.ICMP()).Outcome).To(Equal(probes.Answered), "the other way nothing is closed")
		By("taking the rules away, as the control")
		Expect(within.Nft("delete table inet closed")).To(Succeed())
		Expect(ask(outside, f.within, probes.ICMP()).Outcome).To(Equal(probes.Answered))
	},
		Entry("for IPv4", v4),
		Entry("for IPv6", v6),
	)

	DescribeTable("are its own, with iptables,", func(f family, load func(newborn, string) error, protocol string) {
		f.require()
		harness.Require(GinkgoTB(), harness.IptablesTool)
		outside, within := connected()
		text := func(command string) string {
			return "*filter\n" + command + " INPUT -p " + protocol + " -j DROP\nCOMMIT\n"
		}
		Expect(load(within, text("-A"))).To(Succeed())
		Expect(ask(outside, f.within, probes.ICMP().Within(quick)).Outcome).To(Equal(probes.Silent))
		Expect(ask(within, f.outside, probes.ICMP()).Outcome).To(Equal(probes.Answered), "the other way nothing is closed")
		Expect(load(outside, text("-D"))).NotTo(Succeed(), "there is no such rule here")
		By("taking the rule away, as the control")
		Expect(load(within, text("-D"))).To(Succeed())
		Expect(ask(outside, f.within, probes.ICMP()).Outcome).To(Equal(probes.Answered))
	},
		Entry("for IPv4", v4, func(n newborn, text string) error { return n.Iptables(text) }, "icmp --icmp-type echo-request"),
		Entry("for IPv6", v6, func(n newborn, text string) error { return n.Ip6tables(text) }, "icmpv6 --icmpv6-type echo-request"),
	)
})

// tables are the nftables tables of a namespace.
func tables(n newborn) (names []string) {
	GinkgoHelper()
	Expect(n.Nftables(func(conn *nftables.Conn) error {
		list, err := conn.ListTables()
		for _, table := range list {
			names = append(names, table.Name)
		}
		return err
	})).To(Succeed())
	return names
}
