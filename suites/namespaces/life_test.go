package namespaces_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func ask(ctx SpecContext, from *harness.Node, addr string, p probes.Probe) probes.Result {
	GinkgoHelper()
	result, err := probes.Ask(ctx, from, netip.MustParseAddr(addr), p.Within(200*time.Millisecond))
	Expect(err).NotTo(HaveOccurred())
	return result
}

// known says whether any process of the machine is in the namespace.
func known(inode uint64) bool {
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range paths {
		if link, err := os.Readlink(path); err == nil && link == fmt.Sprintf("net:[%d]", inode) {
			return true
		}
	}
	return false
}

var _ = Describe("a network namespace", func() {
	It("is something that the kernel supports", func() {
		Expect("/proc/self/ns/net").To(BeAnExistingFile())
		Expect("/proc/sys/user/max_net_namespaces").To(BeAnExistingFile())
	})

	It("is created, listed and deleted", func() {
		first, second := bear("first"), bear("second")
		Expect(first.Inode()).NotTo(Equal(second.Inode()))
		Expect(known(first.Inode())).To(BeTrue())
		Expect(known(second.Inode())).To(BeTrue())
		first.delete()
		Expect(known(first.Inode())).To(BeFalse())
		Expect(known(second.Inode())).To(BeTrue())
	})

	It("has a loopback when it is new, and nothing else, and that is down", func() {
		node := bear("new")
		Expect(node.links()).To(ConsistOf("lo"))
		Expect(node.link("lo").Attrs().RawFlags & unix.IFF_UP).To(BeZero())
		addrs, err := node.Netlink().AddrList(nil, netlink.FAMILY_ALL)
		Expect(err).NotTo(HaveOccurred())
		Expect(addrs).To(BeEmpty())
	})

	It("keeps a process from reaching itself while the loopback is down", func(ctx SpecContext) {
		node := bear("new")
		for _, p := range []probes.Probe{probes.ICMP(), probes.TCP(80)} {
			result := ask(ctx, node.Node, "127.0.0.1", p)
			Expect(result).To(And(HaveField("Outcome", probes.Unsent), HaveField("Errno", unix.ENETUNREACH)))
		}
		By("setting it up, as the control")
		node.up("lo")
		Expect(ask(ctx, node.Node, "127.0.0.1", probes.ICMP()).Outcome).To(Equal(probes.Answered))
		Expect(ask(ctx, node.Node, "127.0.0.1", probes.TCP(80)).Outcome).To(Equal(probes.Refused))
	})

	It("runs a command inside", func() {
		node := bear("inside")
		out, err := node.Command("readlink", "/proc/self/ns/net").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(Equal(fmt.Sprintf("net:[%d]\n", node.Inode())))
		out, err = node.Command("ls", "/sys/class/net").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(Equal("lo\n"))
	})

	It("takes one end of a pair in: it disappears outside and appears inside", func() {
		outside, within := bear("outside"), bear("inside")
		outside.pair("near", "far")
		Expect(outside.links()).To(ConsistOf("lo", "near", "far"))
		Expect(within.links()).To(ConsistOf("lo"))
		Expect(outside.move("far", within)).To(Succeed())
		Expect(outside.links()).To(ConsistOf("lo", "near"))
		Expect(within.links()).To(ConsistOf("lo", "far"))
	})

	It("has addresses and routes of its own", func() {
		outside, within := connected()
		for node, want := range map[*harness.Node]string{outside.Node: "10.0.0.1/24", within.Node: "10.0.0.2/24"} {
			addrs, err := node.Netlink().AddrList(nil, netlink.FAMILY_V4)
			Expect(err).NotTo(HaveOccurred())
			var texts []string
			for _, addr := range addrs {
				texts = append(texts, addr.IPNet.String())
			}
			Expect(texts).To(ConsistOf("127.0.0.1/8", want))
		}
		Expect(within.Netlink().RouteAdd(&netlink.Route{
			LinkIndex: within.link("far").Attrs().Index, Dst: mustNet("10.7.0.0/16"), Scope: netlink.SCOPE_LINK,
		})).To(Succeed())
		Expect(routed(within, "10.7.0.1")).To(Succeed())
		Expect(routed(outside, "10.7.0.1")).To(MatchError(unix.ENETUNREACH))
	})

	It("answers a ping over the pair, both ways", func(ctx SpecContext) {
		outside, within := connected()
		Expect(ask(ctx, outside.Node, "10.0.0.2", probes.ICMP()).Outcome).To(Equal(probes.Answered))
		Expect(ask(ctx, within.Node, "10.0.0.1", probes.ICMP()).Outcome).To(Equal(probes.Answered))
	})

	It("reaches another address of the first namespace only by a route", func(ctx SpecContext) {
		outside, within := connected()
		outside.pair("other", "unused")
		outside.address("other", "192.168.7.1/24")
		outside.up("unused")
		outside.up("other")
		Expect(ask(ctx, within.Node, "192.168.7.1", probes.ICMP())).To(
			And(HaveField("Outcome", probes.Unsent), HaveField("Errno", unix.ENETUNREACH)))
		By("adding the route, as the control")
		Expect(within.Netlink().RouteAdd(&netlink.Route{
			Dst: mustNet("192.168.7.0/24"), Gw: netip.MustParseAddr("10.0.0.1").AsSlice(),
		})).To(Succeed())
		Expect(ask(ctx, within.Node, "192.168.7.1", probes.ICMP()).Outcome).To(Equal(probes.Answered))
	})

	It("has nftables rules of its own", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		outside, within := connected()
		Expect(within.Nft("table ip closed { chain input { type filter hook input priority 0; policy drop; }; }")).To(Succeed())
		Expect(ask(ctx, outside.Node, "10.0.0.2", probes.ICMP()).Outcome).To(Equal(probes.Silent))
		Expect(outside.Nft("delete table ip closed")).To(MatchError(ContainSubstring("No such file or directory")))
		By("taking the rules away, as the control")
		Expect(within.Nft("delete table ip closed")).To(Succeed())
		Expect(ask(ctx, outside.Node, "10.0.0.2", probes.ICMP()).Outcome).To(Equal(probes.Answered))
	})

	It("has iptables rules of its own", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.IptablesTool)
		outside, within := connected()
		Expect(within.Iptables("*filter\n-A INPUT -p icmp -j DROP\nCOMMIT\n")).To(Succeed())
		Expect(ask(ctx, outside.Node, "10.0.0.2", probes.ICMP()).Outcome).To(Equal(probes.Silent))
		Expect(outside.Iptables("*filter\n-D INPUT -p icmp -j DROP\nCOMMIT\n")).NotTo(Succeed())
		By("taking the rule away, as the control")
		Expect(within.Iptables("*filter\n-D INPUT -p icmp -j DROP\nCOMMIT\n")).To(Succeed())
		Expect(ask(ctx, outside.Node, "10.0.0.2", probes.ICMP()).Outcome).To(Equal(probes.Answered))
	})

	It("takes the pair along when it is deleted", func() {
		outside, within := connected()
		Expect(outside.links()).To(ContainElement("near"))
		within.delete()
		Eventually(outside.links, "20s").Should(ConsistOf("lo"))
	})

	DescribeTable("does not give away what belongs to it alone",
		func(name string, make func(newborn)) {
			from, to := bear("from"), bear("to")
			make(from)
			Expect(from.move(name, to)).To(MatchError(unix.EINVAL))
			Expect(from.links()).To(ContainElement(name))
			Expect(to.links()).To(ConsistOf("lo"))
		},
		Entry("the loopback", "lo", func(newborn) {}),
		Entry("a bridge", "br", func(n newborn) {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "br"
			Expect(n.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs})).To(Succeed())
		}),
	)
})

// routed says how the namespace would send to an address.
func routed(n newborn, addr string) error {
	_, err := n.Netlink().RouteGet(netip.MustParseAddr(addr).AsSlice())
	return err
}

func mustNet(prefix string) *net.IPNet {
	GinkgoHelper()
	_, parsed, err := net.ParseCIDR(prefix)
	Expect(err).NotTo(HaveOccurred())
	return parsed
}
