package verdicts_test

import (
	"net"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// ear opens a plain socket for datagrams of a protocol (0 for UDP) at a node's port, and has it changed before anything comes; what waits
// there to be read is the judge.
func ear(node *harness.Node, to netip.Addr, protocol, port int, change func(fd, link int) error) (waits func() bool) {
	GinkgoHelper()
	fd := -1
	Expect(node.Do(func() error {
		link, err := net.InterfaceByName("lan")
		if err != nil {
			return err
		}
		domain, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
		if to.Is6() {
			domain, at = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
		}
		if fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol); err != nil {
			return err
		}
		DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
		if err := change(fd, link.Index); err != nil {
			return err
		}
		return unix.Bind(fd, at)
	})).To(Succeed())
	return func() bool {
		_, _, err := unix.Recvfrom(fd, make([]byte, 128), unix.MSG_PEEK)
		return err == nil
	}
}

var _ = Describe("who hears what is sent to several, of those whose socket is picky", func() {
	group, group6, subnet := netip.MustParseAddr("239.1.2.3"), netip.MustParseAddr("ff05::1234"), netip.MustParseAddr("10.0.1.255")
	own, someone := netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("10.0.1.77")

	join4 := func(fd, link int) error {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(link)})
	}
	// sources are what a socket takes of a group, or does not: struct ip_mreq_source.
	sources := func(option int, from netip.Addr) func(int, int) error {
		return func(fd, _ int) error {
			return unix.SetsockoptString(fd, unix.IPPROTO_IP, option, string(slices.Concat(group.AsSlice(), own.AsSlice(), from.AsSlice())))
		}
	}
	onlyOwnGroups := func(fd, _ int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0) }
	onlyOwnGroups6 := func(fd, _ int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
	nothing := func(fd, _ int) error {
		none := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none[0]})
	}

	DescribeTable("is told as that has it", func(ctx SpecContext, to netip.Addr, joined bool, why string, changes ...func(int, int) error) {
		s := neighbours("")
		peer := s.node("peer")
		if joined { // by another program
			join(peer, to)
		}
		waits := ear(peer, to, 0, 7, func(fd, link int) error {
			for _, change := range changes {
				if err := change(fd, link); err != nil {
					return err
				}
			}
			return nil
		})
		heard := hears(ctx, s, to.String(), echo)
		Expect(waits()).To(Equal(why == ""), "the judge")
		if why == "" {
			Expect(heard.Nodes()).To(ConsistOf("peer"), heard.String())
			return
		}
		Expect(heard.Nodes()).To(BeEmpty(), heard.String())
		Expect(heard.Missed).To(ContainElement(deaf("peer", why)), heard.String())
	},
		Entry("of any group that its node is in", group, true, ""),
		Entry("of its own groups alone", group, true, "not in the group itself", onlyOwnGroups),
		Entry("of its own groups alone, over IPv6", group6, true, "not in the group itself", onlyOwnGroups6),
		Entry("of its own group", group, false, "", join4, onlyOwnGroups),
		Entry("from the sender", group, false, "", sources(unix.IP_ADD_SOURCE_MEMBERSHIP, netip.MustParseAddr("10.0.1.1"))),
		Entry("from somebody else", group, false, "did not take it", sources(unix.IP_ADD_SOURCE_MEMBERSHIP, someone)),
		Entry("from all but the sender", group, true, "takes nothing from who sent it", join4, sources(unix.IP_BLOCK_SOURCE, netip.MustParseAddr("10.0.1.1"))),
		Entry("of what its filter lets through", subnet, false, "drops it: by a filter of its own", nothing),
	)

	It("is told of a node without an address, which hears what is for everybody", func(ctx SpecContext) {
		s := neighbours("")
		peer := s.node("peer")
		waits := ear(peer, own, 0, 7, func(int, int) error { return nil })
		Expect(peer.DelAddr("lan", netip.PrefixFrom(own, 24))).To(Succeed())
		heard := hears(ctx, s, "255.255.255.255", echo)
		Expect(waits()).To(BeTrue(), "the judge")
		Expect(heard.Nodes()).To(ConsistOf("peer"), heard.String())
	})

	It("is told of one whose kernel knows no way back", func(ctx SpecContext) {
		s := neighbours("")
		peer := s.node("peer")
		waits := ear(peer, own, 0, 7, join4)
		Expect(peer.AddAddr("lan", netip.MustParsePrefix("10.0.77.2/24"))).To(Succeed())
		Expect(peer.DelAddr("lan", netip.PrefixFrom(own, 24))).To(Succeed())
		Expect(peer.SetSysctl("net/ipv4/conf/all/rp_filter", "1")).To(Succeed())
		heard := hears(ctx, s, group.String(), echo)
		Expect(waits()).To(BeFalse(), "the judge")
		Expect(heard.Missed).To(ContainElement(And(HaveField("Node", "peer"), HaveField("Why", MatchRegexp("did not (accept|take) it")))), heard.String())
	})
})
