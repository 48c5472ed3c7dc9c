package verdicts_test

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// neighbours is pc, peer, which has rules, and two more on one link.
func neighbours(rules string) *site {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.IPv6)
	s := &site{network: topo.New("neighbours")}
	s.lan = s.network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	s.network.Host("pc", s.lan)
	s.network.Host("peer", s.lan).Nft(rules)
	s.network.Host("third", s.lan)
	s.network.Host("guarded", s.lan).Nft(`table inet f { chain input { type filter hook input priority 0; policy drop; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }`)
	return s.up()
}

// input is a table whose input chain lets neighbours be found, and then has rules.
func input(rules string) string {
	return `table inet filter { chain input { type filter hook input priority 0; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; ` + rules + "\n}\n}"
}

// wildcard is a plain service of IPv4 alone at all addresses, which says nothing.
func wildcard(node *harness.Node, network string, port uint16) *service {
	GinkgoHelper()
	s := new(service)
	conn, err := node.ListenPacket(context.Background(), network, netip.AddrPortFrom(netip.Addr{}, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			s.note(string(buf[:n]))
		}
	}()
	return s
}

var _ = Describe("all on a link may be asked at once", func() {
	const closed = `ip daddr 10.0.1.2 drop comment "closed"; ip6 daddr { fd00:1::2, fe80::/64 } drop comment "closed";`
	broadcast := func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1) }

	DescribeTable("so a service that listens at all addresses reads", func(ctx SpecContext, network, to, rules string) {
		s := neighbours(input(closed + rules))
		pc, peer := s.node("pc"), s.node("peer")
		heard := wildcard(peer, network, 7)
		addr := netip.MustParseAddr(to)
		how := sending{to: netip.AddrPortFrom(addr, 7), device: "lan", before: broadcast}
		how.send(pc)
		Eventually(heard.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, peer, echo, to)
		Expect(holds(probes.BeIsolatedFrom(peer).WithContext(ctx), pc)).To(BeFalse(), "without probes")
		Expect(holds(probes.BeIsolatedFrom(peer.On("lan"), echo).WithContext(ctx), pc)).To(BeFalse(), "on the link")
	},
		Entry("what is sent to the subnet's broadcast address", "udp4", "10.0.1.255", `ip daddr { 255.255.255.255, 224.0.0.1 } drop; ip6 daddr ff02::1 drop;`),
		Entry("what is sent to everybody", "udp4", "255.255.255.255", `ip daddr { 10.0.1.255, 224.0.0.1 } drop; ip6 daddr ff02::1 drop;`),
		Entry("what is sent to all hosts", "udp4", "224.0.0.1", `ip daddr { 10.0.1.255, 255.255.255.255 } drop; ip6 daddr ff02::1 drop;`),
		Entry("what is sent to all nodes", "udp6", "ff02::1", `ip daddr { 10.0.1.255, 255.255.255.255, 224.0.0.1 } drop;`),
		Entry("what is sent to the group of its own address", "udp6", "ff02::1:ff00:2", `ip daddr { 10.0.1.255, 255.255.255.255, 224.0.0.1 } drop; ip6 daddr ff02::1 drop;`),
		Entry("what is sent as a broadcast frame", "udp4", "10.0.1.255", `meta pkttype multicast drop; meta pkttype broadcast accept; drop`),
	)

	It("and a router what is sent to all routers, or to its subnet, and a program what is sent to the group that it joined", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.IPv6)
		s := &site{network: topo.New("routers")}
		s.lan = s.network.Switch("lan", "fd00:1::/64")
		s.network.Host("pc", s.lan)
		s.network.Router("peer", s.lan).Nft(input(""))
		s.up()
		pc, peer := s.node("pc"), s.node("peer")
		heard := wildcard(peer, "udp6", 7)
		Expect(peer.Do(func() error { // a group is joined as long as the socket is open
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
			link, err := net.InterfaceByName("lan")
			if err != nil {
				return err
			}
			group := netip.MustParseAddr("ff02::abcd").As16()
			return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group, Interface: uint32(link.Index)})
		})).To(Succeed())
		open := []string{"fd00:1::", "ff02::2", "ff02::abcd"}
		for _, to := range open {
			Expect(peer.Nft("flush chain inet filter input; add rule inet filter input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; add rule inet filter input ip6 daddr " + to + " accept; add rule inet filter input drop")).To(Succeed())
			how := sending{to: netip.AddrPortFrom(netip.MustParseAddr(to), 7), device: "lan"}
			was := len(heard.heard())
			how.send(pc)
			Eventually(func() int { return len(heard.heard()) }).WithTimeout(5*time.Second).Should(BeNumerically(">", was), "the judge: %s", to)
			notIsolated(ctx, pc, peer, echo, to)
		}
		Expect(peer.Nft("flush chain inet filter input; add rule inet filter input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; add rule inet filter input drop")).To(Succeed())
		Expect(pc).To(probes.BeIsolatedFrom(peer, echo).At("peer").WithContext(ctx))
	})

	It("and two routers, which have one anycast address, are apart where all is closed", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.IPv6)
		s := &site{network: topo.New("routers")}
		s.lan = s.network.Switch("lan", "fd00:1::/64")
		s.network.Router("pc", s.lan)
		s.network.Router("peer", s.lan).Nft(input("drop"))
		s.up()
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("peer"), echo, icmp).At("peer").WithContext(ctx))
	})

	It("and each kernel answers an echo request to all nodes", func(ctx SpecContext) {
		s := neighbours(input(closed))
		notIsolated(ctx, s.node("pc"), s.node("peer"), icmp, "ff02::1")
	})

	It("by who is not on it as well, where a router passes broadcasts on", func(ctx SpecContext) {
		s := ruled(drop(`ip daddr 10.0.9.1 drop comment "closed"; ip6 daddr fd00:9::/64 drop comment "closed"`))
		pc, peer := s.node("pc"), s.node("site")
		heard := wildcard(peer, "udp4", 7)
		Expect(pc).To(probes.BeIsolatedFrom(peer, echo).By("closed").WithContext(ctx), "a router keeps broadcasts to itself")

		for _, of := range []string{"all", "lan", "wan"} {
			Expect(s.node("fw").SetSysctl("net.ipv4.conf."+of+".bc_forwarding", "1")).To(Succeed())
		}
		how := sending{to: netip.MustParseAddrPort("10.0.9.255:7"), device: "lan", before: broadcast}
		how.send(pc)
		Eventually(heard.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, pc, peer, echo, "10.0.9.255")
		notIsolated(ctx, pc, peer.On("wan"), echo, "10.0.9.255")

		Expect(s.node("fw").Nft(`add rule inet filter forward fib daddr type broadcast drop comment "not to all"`)).To(Succeed())
		was := len(heard.heard())
		Expect(pc).To(probes.BeIsolatedFrom(peer, echo).By("closed").WithContext(ctx))
		Expect(heard.heard()).To(HaveLen(was))
	})

	It("and where none of it is let in, it holds, before the bound", func(ctx SpecContext) {
		for _, rules := range []string{`drop comment "closed"`, closed + `meta pkttype { broadcast, multicast } drop`} {
			s := neighbours(input(rules))
			Expect(s.node("pc").Nft(input(`ct state established,related accept; drop`))).To(Succeed())
			heard := datagrams(s.node("peer"), 7, 0)
			third := datagrams(s.node("third"), 7, 0)
			began := time.Now()
			for _, p := range []probes.Probe{icmp, echo, web} {
				Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("peer"), p.Within(20*time.Second)).At("peer").WithContext(ctx))
			}
			Expect(time.Since(began)).To(BeNumerically("<", 15*time.Second))
			Expect(heard.heard()).To(BeEmpty())
			Eventually(third.heard).ShouldNot(BeEmpty(), "a group is asked")
		}
	})
})
