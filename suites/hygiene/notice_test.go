package hygiene_test

import (
	"net"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The machine's own network is not to be changed, for a proof either. So a node
// stands in for it, and the same function looks at both.
var _ = Describe("the look at a network", func() {
	look := func(node *harness.Node) (lines []string) {
		GinkgoHelper()
		Expect(node.Do(func() (err error) {
			lines, err = network()
			return err
		})).To(Succeed())
		return lines
	}
	link := func(node *harness.Node) netlink.Link {
		GinkgoHelper()
		found, err := node.Netlink().LinkByName("wire")
		Expect(err).NotTo(HaveOccurred())
		return found
	}

	DescribeTable("notices", func(change func(*harness.Node) error, notices ...string) {
		network := topo.New("noticed")
		wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64")
		network.Host("here", wire)
		network.Host("there", wire)
		node := harness.Up(GinkgoTB(), network).Node("here")
		before := look(node)
		Expect(before).To(ContainElements(HavePrefix("link wire: veth"), HavePrefix("address 10.0.0.1/24: "),
			HavePrefix("route 10.0.0.0/24: table 254,"), HavePrefix("rule 32766: "), HavePrefix("sysctl net/ipv4/ip_forward = 0")))
		Expect(changes(before, look(node))).To(BeEmpty())
		Expect(change(node)).To(Succeed())
		noticed := changes(before, look(node))
		for _, notice := range notices {
			Expect(noticed).To(ContainElement(HavePrefix(notice)))
		}
		Expect(noticed).NotTo(ContainElement(HavePrefix("+ sysctl net/ipv4/conf/new/")), "the link's own parameters")
	},
		Entry("a new link", func(n *harness.Node) error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "new"
			return n.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		}, "+ link new: bridge"),
		Entry("a link that goes down", func(n *harness.Node) error { return n.Netlink().LinkSetDown(link(n)) },
			"- link wire: veth, index 16, flags 0x1003", "+ link wire: veth, index 16, flags 0x1002"),
		Entry("another MTU", func(n *harness.Node) error { return n.Netlink().LinkSetMTU(link(n), 1400) },
			"+ link wire: veth, index 16, flags 0x1003, mtu 1400", "- sysctl net/ipv6/conf/wire/mtu = 1500"),
		Entry("another MAC", func(n *harness.Node) error {
			return n.Netlink().LinkSetHardwareAddr(link(n), net.HardwareAddr{2, 0, 0, 0, 0, 9})
		}, "+ link wire: veth, index 16, flags 0x1003, mtu 1500, mac 02:00:00:00:00:09"),
		Entry("another name", func(n *harness.Node) error {
			if err := n.Netlink().LinkSetDown(link(n)); err != nil { // before Linux 6.2 only such a link is renamed
				return err
			}
			return n.Netlink().LinkSetName(link(n), "cable")
		}, "- link wire: ", "+ link cable: "),
		Entry("an IPv4 address", func(n *harness.Node) error {
			return n.Netlink().AddrAdd(link(n), &netlink.Addr{IPNet: prefix("192.0.2.1/32")})
		}, "+ address 192.0.2.1/32: ", "+ route 192.0.2.1/32: table 255"),
		Entry("an IPv6 address", func(n *harness.Node) error {
			return n.Netlink().AddrAdd(link(n), &netlink.Addr{IPNet: prefix("fd00:9::1/128")})
		}, "+ address fd00:9::1/128: "),
		Entry("a route", func(n *harness.Node) error {
			return n.Netlink().RouteAdd(&netlink.Route{Dst: prefix("10.7.0.0/16"), LinkIndex: link(n).Attrs().Index})
		}, "+ route 10.7.0.0/16: table 254"),
		Entry("a route of another table", func(n *harness.Node) error {
			return n.Netlink().RouteAdd(&netlink.Route{Dst: prefix("fd07::/16"), Table: 77, Type: unix.RTN_BLACKHOLE})
		}, "+ route fd07::/16: table 77, type 6"),
		Entry("a rule for routes", func(n *harness.Node) error {
			rule := netlink.NewRule()
			rule.Family, rule.Table, rule.Priority, rule.IifName = netlink.FAMILY_V6, 77, 5, "wire"
			return n.Netlink().RuleAdd(rule)
		}, `+ rule 5: family 10, from <nil> to <nil>, iif "wire"`),
		Entry("a permanent neighbour", func(n *harness.Node) error {
			return n.Netlink().NeighSet(&netlink.Neigh{LinkIndex: link(n).Attrs().Index, State: netlink.NUD_PERMANENT,
				IP: net.IPv4(10, 0, 0, 9), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}})
		}, "+ neighbour 10.0.0.9: index 16, mac 02:00:00:00:00:09"),
		Entry("nftables rules", func(n *harness.Node) error { return n.Nftables(addRule) },
			"+ nftables 1 new", "+ nftables 1 new input: type filter, policy 0", "+ nftables inet new input: rule "),
		Entry("a rule that a library cannot decode", func(n *harness.Node) error {
			harness.Require(GinkgoTB(), harness.NftTool)
			return n.Nft("table ip new { chain c { ct original ip saddr 10.0.0.0/24 accept; }; }")
		}, "+ nftables ip new c: rule "),
		Entry("another kernel parameter", func(n *harness.Node) error { return n.SetSysctl("net.ipv4.ip_forward", "1") },
			"- sysctl net/ipv4/ip_forward = 0", "+ sysctl net/ipv4/ip_forward = 1"),
	)
})

func addRule(conn *nftables.Conn) error {
	drop := nftables.ChainPolicyDrop
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "new"})
	chain := conn.AddChain(&nftables.Chain{Table: table, Name: "input", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain})
	return nil
}

func prefix(text string) *net.IPNet {
	GinkgoHelper()
	addr, parsed, err := net.ParseCIDR(text)
	Expect(err).NotTo(HaveOccurred())
	return &net.IPNet{IP: addr, Mask: parsed.Mask}
}
