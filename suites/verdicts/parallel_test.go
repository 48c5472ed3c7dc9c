package verdicts_test

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	vishvananda "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// twoLinks is pc --lan-- fork, two links from there to far, and site behind that: 10.0.2.0/24 is
// left, 10.0.3.0/24 is right. What fork and far have decides.
func twoLinks(fork, far string) *site {
	GinkgoHelper()
	s := &site{network: topo.New("parallel")}
	lan, left, right := s.network.Switch("lan", "10.0.1.0/24"), s.network.Switch("left", "10.0.2.0/24"), s.network.Switch("right", "10.0.3.0/24")
	wan := s.network.Switch("wan", "10.0.9.0/24")
	s.network.Host("pc", lan)
	s.network.Router("fork", lan, left, right).NoRoutes().Sysctl("net.ipv4.fib_multipath_hash_policy", "1").Nft(fork)
	s.network.Host("site", wan)
	s.network.Router("far", left, right, wan).Loopback("10.0.8.1/32").Nft(far)
	return s.up()
}

// byGateways is a route of two ways with a gateway each.
func byGateways(fork *harness.Node) {
	spread(fork, "10.0.9.0/24", map[string]string{"left": "10.0.2.2", "right": "10.0.3.2"})
}

// byLinks is one of two ways without, to an address that far answers for on both.
func byLinks(fork *harness.Node) {
	GinkgoHelper()
	route := &vishvananda.Route{Dst: mustCIDR("10.0.8.1/32"), Scope: vishvananda.SCOPE_LINK}
	for _, name := range []string{"left", "right"} {
		link, err := fork.Netlink().LinkByName(name)
		Expect(err).NotTo(HaveOccurred())
		route.MultiPath = append(route.MultiPath, &vishvananda.NexthopInfo{LinkIndex: link.Attrs().Index})
	}
	Expect(fork.Netlink().RouteAdd(route)).To(Succeed())
}

// byObjects is byGateways with nexthop objects, of which a kernel writes out nothing where that is
// turned off.
func byObjects(fork *harness.Node) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.Kernel(5, 10))
	Expect(fork.SetSysctl("net.ipv4.nexthop_compat_mode", "0")).To(Succeed())
	left, err := fork.Netlink().LinkByName("left")
	Expect(err).NotTo(HaveOccurred())
	right, err := fork.Netlink().LinkByName("right")
	Expect(err).NotTo(HaveOccurred())
	object := func(id uint32, link vishvananda.Link, via string) []byte {
		a := netlink.NewAttributeEncoder()
		a.Uint32(unix.NHA_ID, id)
		a.Uint32(unix.NHA_OIF, uint32(link.Attrs().Index))
		a.Bytes(unix.NHA_GATEWAY, netip.MustParseAddr(via).AsSlice())
		return encoded([]byte{unix.AF_INET, 0, unix.RTPROT_STATIC, 0, 0, 0, 0, 0}, a)
	}
	both := netlink.NewAttributeEncoder()
	both.Uint32(unix.NHA_ID, 10)
	both.Bytes(unix.NHA_GROUP, append(member(1), member(2)...))
	route := netlink.NewAttributeEncoder()
	route.Bytes(unix.RTA_DST, []byte{10, 0, 9, 0})
	const nexthopID = 30 // RTA_NH_ID, linux/rtnetlink.h
	route.Uint32(nexthopID, 10)
	Expect(fork.Do(func() error {
		conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		for _, m := range []netlink.Message{
			{Header: netlink.Header{Type: unix.RTM_NEWNEXTHOP}, Data: object(1, left, "10.0.2.2")},
			{Header: netlink.Header{Type: unix.RTM_NEWNEXTHOP}, Data: object(2, right, "10.0.3.2")},
			{Header: netlink.Header{Type: unix.RTM_NEWNEXTHOP}, Data: encoded(make([]byte, 8), both)},
			{Header: netlink.Header{Type: unix.RTM_NEWROUTE}, Data: encoded([]byte{unix.AF_INET, 24, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, 0, unix.RTN_UNICAST, 0, 0, 0, 0}, route)},
		} {
			m.Header.Flags = netlink.Request | netlink.Acknowledge | netlink.Create
			if _, err := conn.Execute(m); err != nil {
				return err
			}
		}
		return nil
	})).To(Succeed())
}

// member is a struct nexthop_grp: a nexthop object's number, and a weight of one.
func member(id uint32) []byte { return append(binary.NativeEndian.AppendUint32(nil, id), 0, 0, 0, 0) }

func encoded(header []byte, a *netlink.AttributeEncoder) []byte {
	GinkgoHelper()
	attributes, err := a.Encode()
	Expect(err).NotTo(HaveOccurred())
	return append(header, attributes...)
}

var _ = Describe("two links between the same two", func() {
	// far lets in what comes by the right link alone, and half of all ports go that way.
	DescribeTable("are two ways, and one that is closed does not stand for the other", func(ctx SpecContext, route func(*harness.Node), to string) {
		s := twoLinks("", `table inet filter {
			chain forward { type filter hook forward priority 0; iifname "left" drop; }
			chain input { type filter hook input priority 0; iifname "left" drop; }; }`)
		pc, at := s.node("pc"), netip.MustParseAddr(to)
		route(s.node("fork"))
		target := s.node("site")
		if at == netip.MustParseAddr("10.0.8.1") {
			target = s.node("far")
		}
		heard := datagrams(target, 7, 0)
		Eventually(func() []string {
			sending{to: netip.AddrPortFrom(at, 7)}.send(pc) // each from another port
			return plain(heard)
		}).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		for range 5 {
			Expect(holds(probes.BeIsolatedFrom(at, echo).WithContext(ctx), pc)).To(BeFalse())
		}
	},
		Entry("by gateways", byGateways, "10.0.9.1"),
		Entry("by links alone", byLinks, "10.0.8.1"),
		Entry("by nexthop objects", byObjects, "10.0.9.1"),
	)

	It("are as closed as the router before them, which lets nothing out by either", func(ctx SpecContext) {
		s := twoLinks(`table inet filter { chain forward { type filter hook forward priority 0; policy drop;
			oifname "left" drop comment "not by the left"; }; }`, "")
		pc, target := s.node("pc"), s.node("site")
		byGateways(s.node("fork"))
		heard := datagrams(target, 7, 0)
		Expect(pc).To(probes.BeIsolatedFrom(target, echo).At("fork").By("not by the left", "policy drop of inet filter forward").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty(), "the judge")

		By("dropping before it is settled by which")
		Expect(s.node("fork").Nft(`flush ruleset
			table inet filter { chain early { type filter hook prerouting priority 0; iifname "lan" drop comment "early"; }; }`)).To(Succeed())
		Expect(pc).To(probes.BeIsolatedFrom(target, echo).At("fork").By("early").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty(), "the judge")
	})
})
