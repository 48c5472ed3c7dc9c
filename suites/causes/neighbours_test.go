package causes_test

import (
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// forget takes a node's neighbour entries for addresses, so that it asks again now
// and not in a second.
func forget(node *harness.Node, name string, addrs ...netip.Addr) {
	GinkgoHelper()
	for _, addr := range addrs {
		err := node.Netlink().NeighDel(&netlink.Neigh{LinkIndex: link(node, name).Attrs().Index, IP: addr.AsSlice()})
		Expect(err).To(Or(Succeed(), MatchError("no such file or directory")))
	}
}

// remember gives a node permanent neighbour entries.
func remember(node *harness.Node, name, mac string, addrs ...netip.Addr) {
	GinkgoHelper()
	hardware, err := net.ParseMAC(mac)
	Expect(err).NotTo(HaveOccurred())
	for _, addr := range addrs {
		Expect(node.Netlink().NeighSet(&netlink.Neigh{
			LinkIndex: link(node, name).Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: hardware,
		})).To(Succeed())
	}
}

const nobodysMAC = "02:00:00:00:00:99"

var _ = Describe("a neighbour", func() {
	DescribeTable("that nobody is is named", func(ctx SpecContext, address string, asker, owner func(office) *harness.Node, name string) {
		o := up()
		to := netip.MustParsePrefix(address).Addr()
		results := broken(ctx, o.client, to, asker(o).Name(), evidence.Neighbour, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", name)))
		entries, err := asker(o).Netlink().NeighList(link(asker(o), name).Attrs().Index, 0)
		Expect(err).NotTo(HaveOccurred())
		for _, entry := range entries {
			if entry.IP.Equal(to.AsSlice()) { // it may be forgotten by now
				Expect(entry.HardwareAddr).To(BeEmpty(), "the judge: the kernel's own entry has no MAC")
			}
		}

		By("giving somebody the address, as the control")
		give(owner(o), name, address)
		forget(asker(o), name, to)
		Expect(o.client).To(probes.Reach(to, patient(icmp)...).WithContext(ctx))
	},
		Entry("behind fw, IPv4", "10.0.2.99/24", atFw, atServer, "dmz"),
		Entry("behind fw, IPv6", "fd00:2::99/64", atFw, atServer, "dmz"),
		Entry("on the client's own link, IPv4", "10.0.1.99/24", atClient, atFw, "lan"),
		Entry("on the client's own link, IPv6", "fd00:1::99/64", atClient, atFw, "lan"),
	)

	It("that has another MAC is named", func(ctx SpecContext) {
		o := up()
		remember(o.client, "lan", nobodysMAC, gateways...)
		results := broken(ctx, o.client, o.server, "fw", evidence.WrongMAC, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", "lan")))

		By("forgetting it, as the control")
		forget(o.client, "lan", gateways...)
		o.reaches(ctx, all...)
	})

	It("that has another MAC is named on the way back", func(ctx SpecContext) {
		o := warm(ctx)
		remember(o.fw, "lan", nobodysMAC, client4, client6)
		Expect(broken(ctx, o.client, o.server, "client", evidence.WrongMAC, all...)).To(onItsWay(evidence.Answer))

		By("forgetting it, as the control")
		forget(o.fw, "lan", client4, client6)
		o.reaches(ctx, all...)
	})
})

var _ = Describe("an interface that asks nobody for a MAC", func() {
	It("sends to its own, which a switch does not send back", func(ctx SpecContext) {
		network := topo.New("quiet")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		network.Host("client", lan)
		network.Host("server", lan)
		lab := harness.Up(GinkgoTB(), network)
		client, server := lab.Node("client"), lab.Node("server")
		probes.Serve(GinkgoTB(), server, web, dns)
		port := link(client, "lan")
		Expect(client.Netlink().LinkSetARPOff(port)).To(Succeed())
		to := netip.MustParseAddr("10.0.0.2")
		for _, r := range watch(ctx, client, to, all...) {
			Expect(r).To(probes.BeIsolatedFrom(to).At("client").Because(evidence.WrongMAC))
			Expect(r.Cause.String()).To(ContainSubstring("client/lan itself, which asks and answers nobody (NOARP)"))
		}

		By("asking again, as the control")
		Expect(client.Netlink().LinkSetARPOn(port)).To(Succeed())
		Expect(client).To(probes.Reach(server, patient(all...)...).WithContext(ctx))
	})
})

var _ = Describe("a neighbour on a switch", func() {
	const leftMAC, rightMAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
	var client, left, right *harness.Node
	twins := []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fd00::9")}

	BeforeEach(func() {
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
		network.Host("client", lan)
		network.Host("left", lan.At("10.0.0.9", "fd00::9").MAC(leftMAC).Duplicate())
		network.Host("right", lan.At("10.0.0.9", "fd00::9").MAC(rightMAC))
		lab := harness.Up(GinkgoTB(), network)
		client, left, right = lab.Node("client"), lab.Node("left"), lab.Node("right")
		probes.Serve(GinkgoTB(), left, web, dns)
		probes.Serve(GinkgoTB(), right, web, dns)
	})

	It("that has another MAC is named", func(ctx SpecContext) {
		remember(client, "lan", nobodysMAC, twins...)
		for _, to := range twins {
			for _, r := range watch(ctx, client, to, all...) {
				Expect(r).To(probes.BeIsolatedFrom(to).Because(evidence.WrongMAC))
				Expect(r.Cause.Node).To(BeElementOf("left", "right"))
			}
		}

		By("remembering the sender's own, to which a switch sends nothing back")
		remember(client, "lan", link(client, "lan").Attrs().HardwareAddr.String(), twins...)
		for _, to := range twins {
			for _, r := range watch(ctx, client, to, all...) {
				Expect(r).To(probes.BeIsolatedFrom(to).At("client").Because(evidence.WrongMAC))
				Expect(r.Cause.String()).To(ContainSubstring("client/lan itself, which is in the entry for " + to.String()))
			}
		}

		By("remembering the right one, as the control")
		remember(client, "lan", rightMAC, twins...)
		Expect(client).To(probes.Reach(right, patient(web, dns)...).WithContext(ctx))
	})

	It("that is another than was meant is named, and its silence does not isolate", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		remember(client, "lan", leftMAC, twins...)
		for _, r := range watch(ctx, client, right, all...) {
			noVerdict(probes.BeIsolatedFrom(right), r, "was answered by left")
			noVerdict(probes.Reach(right), r, "was answered by left, not by right")
		}

		By("having the wrong one drop it")
		Expect(left.Nft(`table inet filter { chain input { type filter hook input priority 0;
			meta l4proto { tcp, udp } drop comment "left is closed"; }; }`)).To(Succeed())
		for _, r := range watch(ctx, client, right, web, dns) {
			noVerdict(probes.BeIsolatedFrom(right), r, "as well: an address conflict with right")
			Expect(r).To(probes.BeIsolatedFrom(right).At("left").Because(evidence.Conflict))
			noVerdict(probes.BeIsolatedFrom(right).At("right").Because(evidence.Conflict), r, "was taken at left", "not at right")
		}

		By("remembering the right one, as the control")
		remember(client, "lan", rightMAC, twins...)
		Expect(client).To(probes.Reach(right, patient(web, dns)...).WithContext(ctx))
	})
})
