package attached_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a switch's port in somebody's namespace", func() {
	It("asks, and is asked, like every other, and goes with the lab", func() {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("office")
		lan, dmz := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
		network.Host("client", lan)
		network.Host("server", dmz)
		network.Router("fw", lan, dmz).Nft(noSSH)
		lab := harness.Up(GinkgoTB(), network)
		guest := somebody("guest")
		node := lab.Plug(GinkgoTB(), "lan", guest.existing(), netip.MustParsePrefix("10.0.1.77/24"), netip.MustParsePrefix("fd00:1::77/64"))
		guest.gateway(lab.Node("fw").On("lan").Addrs()[0].String())
		guest.gateway(lab.Node("fw").On("lan").Addrs()[1].String())
		probes.Serve(GinkgoTB(), lab.Node("server"), web, ssh)
		probes.Serve(GinkgoTB(), node, web)

		Expect(node).To(probes.Reach(lab.Node("client"), icmp))
		Expect(node).To(probes.Reach(lab.Node("server"), icmp, web))
		Expect(lab.Node("client")).To(probes.Reach(node, icmp, web))
		Expect(node).To(probes.BeIsolatedFrom(lab.Node("server"), ssh).At("fw").By("no ssh"))

		lab.Down()
		Eventually(func() []string {
			var names []string
			links, err := guest.Netlink().LinkList()
			Expect(err).NotTo(HaveOccurred())
			for _, link := range links {
				names = append(names, link.Attrs().Name)
			}
			return names
		}, "20s").Should(Equal([]string{"lo"}))
	})

	It("fails the test where there is no such switch", func() {
		network := topo.New("office")
		wire := network.Wire("wire", "10.0.1.0/24")
		network.Host("a", wire)
		network.Host("b", wire)
		lab := harness.Up(GinkgoTB(), network)
		guest := somebody("guest")
		Expect(fatal(func(tb harness.TB) { lab.Plug(tb, "wire", guest.existing()) })).To(Equal("plug guest into switch wire: it is a wire, which has its two ports: make it a switch"))
		Expect(fatal(func(tb harness.TB) { lab.Plug(tb, "lan", guest.existing()) })).To(HavePrefix("plug guest into switch lan: the lab has no such segment; it has: "))
		taken := guest.existing()
		taken.Name = "a"
		Expect(fatal(func(tb harness.TB) { lab.Plug(tb, "wire", taken) })).To(Equal("plug a into switch wire: the lab has a node a"))
	})
})
