package switches_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// pairs are three pairs of hosts on one switch: of VLAN 100, of VLAN 200, and of none.
func pairs() *harness.Lab {
	GinkgoHelper()
	network := topo.New("pairs")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	for _, name := range []string{"a", "b"} {
		network.Host("red"+name, lan.Access(100))
	}
	for _, name := range []string{"a", "b"} {
		network.Host("blue"+name, lan.Access(200))
	}
	for _, name := range []string{"a", "b"} {
		network.Host("plain"+name, lan)
	}
	return served(network)
}

// heard are the names that a node reads when all others send theirs to each of its addresses,
// at plain sockets.
func heard(lab *harness.Lab, to *harness.Node) (names []string) {
	GinkgoHelper()
	var conns []net.PacketConn
	for _, addr := range to.Addrs() {
		conn, err := to.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0))
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		conns = append(conns, conn)
		for _, from := range lab.Nodes() {
			if from == to {
				continue
			}
			sender, err := from.Dial(context.Background(), "udp", netip.MustParseAddrPort(conn.LocalAddr().String()))
			Expect(err).NotTo(HaveOccurred())
			defer sender.Close()
			_, err = sender.Write([]byte(from.Name()))
			Expect(err).NotTo(HaveOccurred())
		}
	}
	for _, conn := range conns {
		Expect(conn.SetReadDeadline(time.Now().Add(2 * stays))).To(Succeed())
		for {
			name := make([]byte, 64)
			n, _, err := conn.ReadFrom(name)
			if err != nil {
				Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeTrue(), "%v", err)
				break
			}
			names = append(names, string(name[:n]))
		}
	}
	return names
}

var _ = Describe("VLANs of a switch", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.VLANFiltering) })

	It("keep 24 of 30 pairs apart", func(ctx SpecContext) {
		lab := pairs()
		Expect(probes.WatchSurvey(ctx, lab, probes.ICMP().Within(3*time.Second))).To(probes.MatchMatrix(`
			        reda        redb        bluea        blueb        plaina       plainb
			reda    .           ok          vlan@reda    vlan@reda    vlan@reda    vlan@reda
			redb    ok          .           vlan@redb    vlan@redb    vlan@redb    vlan@redb
			bluea   vlan@bluea  vlan@bluea  .            ok           vlan@bluea   vlan@bluea
			blueb   vlan@blueb  vlan@blueb  ok           .            vlan@blueb   vlan@blueb
			plaina  vlan@plaina vlan@plaina vlan@plaina  vlan@plaina  .            ok
			plainb  vlan@plainb vlan@plainb vlan@plainb  vlan@plainb  ok           .
		`))
		for _, name := range []string{"red", "blue", "plain"} {
			one, other := lab.Node(name+"a"), lab.Node(name+"b")
			passes(one, other)
			passes(other, one)
			Expect(heard(lab, one)).To(ConsistOf(other.Name(), other.Name()), "by IPv4 and by IPv6")
			Expect(heard(lab, other)).To(ConsistOf(one.Name(), one.Name()))
		}
	})

	It("are named, and matter", func(ctx SpecContext) {
		lab := pairs()
		red, blue, plain := lab.Node("reda"), lab.Node("bluea"), lab.Node("plaina")
		keeps(red, blue)
		apart(ctx, red, blue, "reda", evidence.PortVLAN, all...)
		apart(ctx, plain, red, "plaina", evidence.PortVLAN, probes.UDP(53))
		apart(ctx, red, plain, "reda", evidence.PortVLAN, probes.ICMP())
		Expect(red).To(probes.BeIsolatedFrom(blue, briefly(probes.UDP(53))...).
			By("the VLAN filter of switch lan: port reda is in VLAN 100, port bluea is in VLAN 200").WithContext(ctx))
		reaches(ctx, red, lab.Node("redb"))
		reaches(ctx, plain, lab.Node("plainb"))
	})

	It("keep apart those who know each other, from when they are in different ones", func(ctx SpecContext) {
		o := officeOf(plain)
		passes(o.pc, o.site)
		reaches(ctx, o.pc, o.site)
		Expect(o.pc.Port("lan").SetVLANs(100)).To(Succeed())
		apart(ctx, o.pc, o.site, "pc", evidence.PortVLAN, all...)
		apart(ctx, o.site, o.pc, "site", evidence.PortVLAN, probes.UDP(53))
		keeps(o.pc, o.site)
		passes(o.site, o.other)
		same(o.pc.Lab())

		By("taking the other one after it, as the control")
		Expect(o.site.Port("lan").SetVLANs(100)).To(Succeed())
		passes(o.pc, o.site)
		reaches(ctx, o.pc, o.site)
		keeps(o.other, o.site)
		same(o.pc.Lab())

		By("putting both back, so that the switch keeps none apart")
		Expect(o.site.Port("lan").SetVLANs(0)).To(Succeed())
		Expect(o.pc.Port("lan").SetVLANs(0)).To(Succeed())
		for _, node := range []*harness.Node{o.pc, o.other} {
			passes(node, o.site)
		}
		Expect(o.pc.Port("lan").Switch().IsPlain()).To(BeTrue())
		same(o.pc.Lab())
	})

	It("come up again as they were", func(ctx SpecContext) {
		lab := pairs()
		red := lab.Node("reda")
		Expect(red.Port("lan").Down()).To(Succeed())
		Expect(red.Port("lan").Up()).To(Succeed())
		passes(red, lab.Node("redb"))
		apart(ctx, red, lab.Node("bluea"), "reda", evidence.PortVLAN, probes.UDP(53))
		keeps(red, lab.Node("bluea"))
	})

	It("keep entries that stay, in the VLAN that a port is in", func() {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) {
			return lan.Access(100).NoLearning().NoFlood().Static(), lan.Access(100), lan
		})
		passes(o.pc, o.site)
		keeps(o.pc, o.other)
		Expect(o.other.Port("lan").SetVLANs(200)).To(Succeed())
		Expect(o.pc.Port("lan").SetVLANs(200)).To(Succeed())
		passes(o.other, o.pc)
		keeps(o.pc, o.site)
	})
})

var _ = Describe("a port's VLAN", func() {
	It("takes no VLAN that is none", func() {
		network := topo.New("live")
		lan := network.Switch("lan", "10.0.1.0/24")
		network.Host("a", lan)
		lab := up(network)
		Expect(lab.Node("a").Port("lan").SetVLANs(4095)).To(MatchError("node a: port lan: VLAN 4095: it is between 1 and 4094"))
	})
})

var _ = Describe("VLANs of a node's own bridge", func() {
	It("keep apart those behind its ports", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.VLANFiltering)
		network := topo.New("bridged")
		left, right := network.Wire("left", "10.0.1.0/24", "fd00:1::/64"), network.Wire("right", "10.0.1.0/24", "fd00:1::/64")
		network.Host("pc", left)
		network.Host("site", right)
		network.Host("box", left, right).Bridge("br", left, right)
		lab := served(network)
		pc, site, box := lab.Node("pc"), lab.Node("site"), lab.Node("box")
		passes(pc, site)
		h := box.Netlink()
		port, err := h.LinkByName("right")
		Expect(err).NotTo(HaveOccurred())
		filterVLANs(box, "br")
		Expect(h.BridgeVlanAdd(port, 200, true, true, false, true)).To(Succeed())
		Expect(h.BridgeVlanDel(port, 1, false, false, false, true)).To(Succeed())
		keeps(pc, site)
		Expect(pc).To(probes.BeIsolatedFrom(site, briefly(all...)...).At("box").
			By("the VLAN filter of br: port left is in VLAN 1, and port right in VLAN 200").WithContext(ctx))

		By("putting it back, as the control")
		Expect(h.BridgeVlanAdd(port, 1, true, true, false, true)).To(Succeed())
		passes(pc, site)
	})
})

// filterVLANs has a node's own bridge keep VLANs apart, and changes nothing else of it.
func filterVLANs(node *harness.Node, name string) {
	GinkgoHelper()
	bridge, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(bridge.Attrs().Index)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_VLAN_FILTERING, []byte{1})
	Expect(node.Do(func() error {
		request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
		request.AddData(header)
		request.AddData(info)
		_, err := request.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})).To(Succeed())
}
