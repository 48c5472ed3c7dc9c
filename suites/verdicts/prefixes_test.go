package verdicts_test

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("a prefix that is all a node's own", func() {
	// prefixes is pc - fw - site, where fw knows of a prefix behind each.
	prefixes := func(rules string) *site {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("prefixes")
		lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
		network.Host("pc", lan)
		network.Host("site", wan)
		network.Router("fw", lan, wan).Nft(rules).
			Route(topo.Route{To: "192.0.2.0/24", Via: "10.0.9.1"}).Route(topo.Route{To: "2001:db8:5::/64", Via: "fd00:9::1"}).
			Route(topo.Route{To: "198.51.100.0/24", Via: "10.0.1.1"}).Route(topo.Route{To: "2001:db8:6::/64", Via: "fd00:1::1"})
		return (&site{network: network}).up()
	}
	ip := func(node *harness.Node, line string) {
		GinkgoHelper()
		for command := range strings.SplitSeq(line, ";") {
			if command = strings.TrimSpace(command); command == "" {
				continue
			}
			out, err := node.Command("ip", strings.Fields(command)...).CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), "ip %s: %s", command, out)
		}
	}
	// from binds a socket to an address, which needs no privilege.
	from := func(addr netip.Addr) func(int) error {
		return func(fd int) error {
			if addr.Is6() { // a route of type local does not do
				if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1); err != nil {
					return err
				}
				return unix.Bind(fd, &unix.SockaddrInet6{Addr: addr.As16()})
			}
			return unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()})
		}
	}
	// closed is a table by which one address of the node is closed, and what else is said.
	closed := func(rules string) string { return drop(rules) }
	const (
		route4 = "route add local 192.0.2.0/24 dev lo"
		pcs4   = "route add local 198.51.100.0/24 dev lo"
		all4   = `ip daddr 10.0.9.1 drop comment "closed"; ip6 daddr fd00:9::1 drop comment "closed"; `
		all4pc = `ip saddr 10.0.1.1 drop comment "closed"; ip6 saddr fd00:1::1 drop comment "closed"; `
	)

	DescribeTable("is asked in each part of it that rules tell apart, where it is the target's", func(ctx SpecContext, atSite, fw, atFW, to string) {
		s := prefixes(fw)
		pc, target := s.node("pc"), s.node("site")
		Expect(pc).To(probes.BeIsolatedFrom(target, echo).At("fw").WithContext(ctx), "the control")
		ip(target, atSite)
		ip(s.node("fw"), atFW)
		heard := datagrams(target, 7, 0)
		sending{to: netip.AddrPortFrom(netip.MustParseAddr(to), 7)}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, target, echo, "what is sent there does arrive", "close this way")
		Expect(holds(probes.BeIsolatedFrom(target).WithContext(ctx), pc)).To(BeFalse(), "without probes")
	},
		Entry("but for its first", route4, closed(all4+`ip daddr 192.0.2.1 drop`), "", "192.0.2.7"),
		Entry("of a set", route4, closed(`ip daddr { 10.0.9.1, 192.0.2.1 } drop; ip6 daddr fd00:9::1 drop`), "", "192.0.2.7"),
		Entry("but for its first half", route4, closed(all4+`ip daddr 192.0.2.0-192.0.2.127 drop`), "", "192.0.2.200"),
		Entry("but for a prefix", route4, closed(all4+`ip daddr 192.0.2.0/28 drop`), "", "192.0.2.97"),
		Entry("but for all above", route4, closed(all4+`ip daddr > 192.0.2.16 drop; ip daddr 192.0.2.0-192.0.2.15 drop`), "", "192.0.2.16"),
		Entry("but for all and one", route4, closed(all4+`ip daddr 192.0.2.0/24 ip daddr != 192.0.2.77 drop`), "", "192.0.2.77"),
		Entry("but for the even ones", route4, closed(all4+`ip daddr & 0.0.0.1 == 0 drop; ip daddr 192.0.2.1 drop`), "", "192.0.2.7"),
		Entry("of a map of verdicts", route4, closed(all4+`ip daddr vmap { 192.0.2.0/25 : drop, 192.0.2.128/25 : accept }`), "", "192.0.2.200"),
		Entry("of a set with ports", route4, closed(all4+`ip daddr . udp dport { 192.0.2.0/25 . 7, 192.0.2.128/25 . 8 } drop; icmp type echo-request drop`), "", "192.0.2.200"),
		Entry("by the first address of a connection", route4, closed(all4+`ct original ip daddr 192.0.2.1 drop`), "", "192.0.2.7"),
		Entry("by routes", route4, closed(all4), "route add blackhole 192.0.2.0/25", "192.0.2.200"),
		Entry("by policy routing", route4, closed(all4), "rule add to 192.0.2.0/25 type blackhole", "192.0.2.200"),
		Entry("of the loopback", "addr add 192.0.2.1/24 dev lo", closed(all4+`ip daddr 192.0.2.1 drop`), "", "192.0.2.9"),
		Entry("of IPv6", "-6 route add local 2001:db8:5::/64 dev lo", closed(all4+`ip6 daddr { 2001:db8:5::, 2001:db8:5::1 } drop`), "", "2001:db8:5::99"),
		Entry("of many", route4, closed(all4+`ip daddr 192.0.2.0 drop; ip daddr { `+addresses(1, 120)+` } drop`), "", "192.0.2.200"),
	)

	DescribeTable("is asked from in each part of it that rules tell apart, where it is the asker's", func(ctx SpecContext, atPC, fw, atFW, by, to string) {
		s := prefixes(fw)
		pc, target := s.node("pc"), s.node("site")
		Expect(pc).To(probes.BeIsolatedFrom(target, echo).At("fw").WithContext(ctx), "the control")
		ip(pc, atPC)
		ip(s.node("fw"), atFW)
		heard := datagrams(target, 7, 0)
		sending{to: netip.AddrPortFrom(netip.MustParseAddr(to), 7), before: from(netip.MustParseAddr(by))}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, target, echo, "asked from", "was reached")
		Expect(pc).NotTo(probes.BeIsolatedFrom(target, echo.From(netip.MustParseAddr(by))).WithContext(ctx), "it may be chosen")
	},
		Entry("but for its first", pcs4, closed(all4pc+`ip saddr 198.51.100.1 drop`), "", "198.51.100.9", "10.0.9.1"),
		Entry("of a set", pcs4, closed(`ip saddr { 10.0.1.1, 198.51.100.0-198.51.100.15 } drop; ip6 saddr fd00:1::1 drop`), "", "198.51.100.99", "10.0.9.1"),
		Entry("of the loopback", "addr add 198.51.100.1/24 dev lo", closed(all4pc+`ip saddr 198.51.100.1 drop`), "", "198.51.100.9", "10.0.9.1"),
		Entry("by policy routing", pcs4, closed(all4pc), "rule add from 198.51.100.0/25 type blackhole", "198.51.100.200", "10.0.9.1"),
		Entry("of IPv6", "-6 route add local 2001:db8:6::/64 dev lo", closed(all4pc+`ip6 saddr { 2001:db8:6::, 2001:db8:6::1 } drop`), "", "2001:db8:6::99", "fd00:9::1"),
	)

	It("isolates where all of it is closed", func(ctx SpecContext) {
		s := prefixes(drop(`ip daddr { 10.0.9.1, 192.0.2.0/25 } drop comment "closed"; ip daddr 192.0.2.128/25 drop; ip6 daddr fd00:9::1 drop comment "closed"; ip saddr { 10.0.1.1, 198.51.100.0/24 } drop`))
		ip(s.node("site"), route4)
		ip(s.node("pc"), pcs4)
		heard := datagrams(s.node("site"), 7, 0)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo).WithContext(ctx))
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site")).WithContext(ctx), "without probes")
		Expect(heard.heard()).To(BeEmpty(), "the judge")
	})
})

// addresses are some of 192.0.2.0/24.
func addresses(first, last int) string {
	var all []string
	for i := first; i <= last; i += 2 {
		all = append(all, fmt.Sprintf("192.0.2.%d", i))
	}
	return strings.Join(all, ", ")
}
