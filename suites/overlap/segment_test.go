package overlap_test

import (
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	macLeft  = "02:00:00:00:00:0a"
	macRight = "02:00:00:00:00:0b"
	macThird = "02:00:00:00:00:0c"
)

var _ = Describe("one address twice on one segment", func() {
	var client, left, right *harness.Node
	twins, single := addrs("10.0.0.9", "fd00::9"), addrs("10.0.0.8", "fd00::8")

	BeforeEach(func() {
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		network.Host("client", lan)
		network.Host("left", lan.At("10.0.0.9", "fd00::9").MAC(macLeft).Duplicate())
		network.Host("right", lan.At("10.0.0.9", "fd00::9").MAC(macRight))
		network.Host("third", lan.At("10.0.0.8", "fd00::8").MAC(macThird))
		lab := harness.Up(GinkgoTB(), network)
		client, left, right = lab.Node("client"), lab.Node("left"), lab.Node("right")
		probes.Serve(GinkgoTB(), left, web)
		probes.Serve(GinkgoTB(), right, web)
	})

	It("is a mistake unless the declaration says that it is meant", func() {
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		network.Host("left", lan.At("10.0.0.9", "fd00::9"))
		network.Host("right", lan.At("10.0.0.9", "fd00::9"))
		for _, addr := range twins {
			Expect(network.Validate()).To(MatchError(ContainSubstring(
				"node right: segment lan: address %s is node left's already", addr)))
		}
	})

	It("has both owners, and an answer without a signature names them both", func(ctx SpecContext) {
		for _, addr := range twins {
			Expect(client.Lab().Plan().Owners(addr)).To(Equal([]string{"left", "right"}))
			result := ask(ctx, client, addr, probes.ICMP())
			Expect(result.Outcome).To(Equal(probes.Answered))
			Expect(result.By).To(BeEmpty())
			Expect(result.String()).To(ContainSubstring("answered by one of left, right"))
		}
	})

	It("is seen on the segment: two stations answer for it", func() {
		for i, addr := range twins {
			two := whoHas(client, "lan", addr)
			Eventually(two, "5s").Should(HaveKey(macLeft))
			Eventually(two, "5s").Should(HaveKey(macRight))
			By("asking for an address with one owner, as the control")
			one := whoHas(client, "lan", single[i])
			Eventually(one, "5s").Should(HaveKey(macThird))
			Consistently(one, "50ms").Should(HaveLen(1))
		}
	})

	DescribeTable("is answered by whom the neighbour entry leads to:", func(ctx SpecContext, mac, owner string) {
		hardware, err := net.ParseMAC(mac)
		Expect(err).NotTo(HaveOccurred())
		for _, addr := range twins {
			Expect(client.Netlink().NeighSet(&netlink.Neigh{
				LinkIndex: lan(client).Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: hardware,
			})).To(Succeed())
			Expect(ask(ctx, client, addr, web)).To(provenBy(owner))
		}
	},
		Entry("the left one", macLeft, "left"),
		Entry("the right one", macRight, "right"),
	)

	It("is noticed by the kernel that takes it, in IPv6", func() {
		set := func(key, value string) { Expect(right.SetSysctl(key, value)).To(Succeed()) }
		set("net.ipv6.conf.lan.accept_dad", "1") // the harness had it off
		set("net.ipv6.conf.lan.router_solicitation_delay", "0")
		again(right, twins[1])
		Eventually(addrFlags(right, twins[1]), "10s").Should(ContainElement("dadfailed"))
		By("taking it from the other owner, as the control")
		Expect(left.Netlink().AddrDel(lan(left), twin(twins[1]))).To(Succeed())
		set("net.ipv6.neigh.lan.retrans_time_ms", "50") // to wait so long for an objection
		again(right, twins[1])
		Eventually(addrFlags(right, twins[1]), "10s").Should(ConsistOf("there"))
	})
})

func lan(node *harness.Node) netlink.Link {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName("lan")
	Expect(err).NotTo(HaveOccurred())
	return link
}

func twin(addr netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(64, 128)}}
}

// again takes an address from a node and gives it to it once more.
func again(node *harness.Node, addr netip.Addr) {
	GinkgoHelper()
	Expect(node.Netlink().AddrDel(lan(node), twin(addr))).To(Succeed())
	Expect(node.Netlink().AddrAdd(lan(node), twin(addr))).To(Succeed())
}

// addrFlags are what the kernel says about a node's address, of what matters here.
func addrFlags(node *harness.Node, addr netip.Addr) func() []string {
	return func() (flags []string) {
		GinkgoHelper()
		list, err := node.Netlink().AddrList(lan(node), netlink.FAMILY_V6)
		Expect(err).NotTo(HaveOccurred())
		for _, a := range list {
			if !a.IP.Equal(addr.AsSlice()) {
				continue
			}
			flags = append(flags, "there")
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				flags = append(flags, "tentative")
			}
			if a.Flags&unix.IFA_F_DADFAILED != 0 {
				flags = append(flags, "dadfailed")
			}
		}
		return flags
	}
}
