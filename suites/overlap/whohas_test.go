package overlap_test

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// whoHas asks on a segment who has an address, and returns what to poll: it asks
// once more, and says which MACs have answered so far.
func whoHas(node *harness.Node, segment string, addr netip.Addr) func() map[string]bool {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(node.Port(segment).Name())
	Expect(err).NotTo(HaveOccurred())
	index, mac := link.Attrs().Index, link.Attrs().HardwareAddr
	domain, kind, protocol := unix.AF_PACKET, unix.SOCK_DGRAM, int(htons(unix.ETH_P_ARP))
	if addr.Is6() {
		domain, kind, protocol = unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6
	}
	var fd int
	Expect(node.Do(func() (err error) {
		fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		return err
	})).To(Succeed())
	DeferCleanup(func() { _ = unix.Close(fd) })
	answers, buf := map[string]bool{}, make([]byte, 1500)
	return func() map[string]bool {
		GinkgoHelper()
		if addr.Is6() {
			Expect(solicit(fd, index, mac, addr)).To(Succeed())
		} else {
			Expect(requestARP(fd, index, mac, node.Port(segment).Addrs()[0].Addr(), addr)).To(Succeed())
		}
		for {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return answers
			}
			if from := answerTo(addr, buf[:n]); from != nil {
				answers[from.String()] = true
			}
		}
	}
}

// requestARP broadcasts an ARP request (RFC 826).
func requestARP(fd, index int, mac net.HardwareAddr, source, target netip.Addr) error {
	packet := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, request
	packet = append(append(packet, mac...), source.AsSlice()...)
	packet = append(append(packet, make([]byte, 6)...), target.AsSlice()...)
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ARP), Ifindex: index, Halen: 6}
	copy(to.Addr[:], net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	return unix.Sendto(fd, packet, 0, to)
}

const (
	neighborSolicitation  = 135
	neighborAdvertisement = 136
)

// solicit sends a neighbour solicitation (RFC 4861, 4.3) to the target's group.
func solicit(fd, index int, mac net.HardwareAddr, target netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	packet := append([]byte{neighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
	packet = append(append(packet, 1, 1), mac...) // the asker's MAC, in units of 8 bytes
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], target.AsSlice()[13:])
	return unix.Sendto(fd, packet, 0, &unix.SockaddrInet6{Addr: group, ZoneId: uint32(index)})
}

// answerTo is the MAC in an answer to the question for an address; nil for what
// is none.
func answerTo(addr netip.Addr, packet []byte) net.HardwareAddr {
	switch {
	case addr.Is4() && len(packet) >= 28 && packet[7] == 2 && netip.AddrFrom4([4]byte(packet[14:18])) == addr:
		return append(net.HardwareAddr(nil), packet[8:14]...)
	case addr.Is6() && len(packet) >= 32 && packet[0] == neighborAdvertisement && netip.AddrFrom16([16]byte(packet[8:24])) == addr:
		return append(net.HardwareAddr(nil), packet[26:32]...)
	}
	return nil
}

// htons is a protocol number as sockaddr_ll has it: big-endian bytes.
func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
