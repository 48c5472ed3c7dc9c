package switches_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// reads says whether anything is to be read within a time.
func reads(conn net.PacketConn, within time.Duration) bool {
	GinkgoHelper()
	Expect(conn.SetReadDeadline(time.Now().Add(within))).To(Succeed())
	_, _, err := conn.ReadFrom(make([]byte, 256))
	if err != nil {
		Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeTrue(), "%v", err)
	}
	return err == nil
}

// macOf is the MAC of a node's port on the lan, as the plan has it.
func macOf(node *harness.Node) net.HardwareAddr {
	GinkgoHelper()
	plan, ok := node.Lab().Plan().Node(node.Name())
	Expect(ok).To(BeTrue())
	return net.HardwareAddr(plan.Ports[0].MAC[:])
}

// sends has a node send a datagram to an address as a frame to a MAC, whatever it knows of
// neighbours: a static entry on a socket's way, which is gone again.
func framed(from, to *harness.Node, within time.Duration) bool {
	GinkgoHelper()
	addr := to.Addrs()[0]
	conn, err := to.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	port := netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
	link, err := from.Netlink().LinkByName("lan")
	Expect(err).NotTo(HaveOccurred())
	frame := unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0x08, 0}), Ifindex: link.Attrs().Index, Halen: 6}
	copy(frame.Addr[:], macOf(to))
	Expect(from.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, datagram(from.Addrs()[0], addr, port), 0, &frame)
	})).To(Succeed())
	return reads(conn, within)
}

// datagram is an IPv4 packet of UDP, which says nothing (RFC 791, RFC 768).
func datagram(from, to netip.Addr, port uint16) []byte {
	packet := make([]byte, 28)
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	copy(packet[12:], from.AsSlice())
	copy(packet[16:], to.AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	binary.BigEndian.PutUint16(packet[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(packet[20:], 9)
	binary.BigEndian.PutUint16(packet[22:], port)
	binary.BigEndian.PutUint16(packet[24:], 8) // without a checksum
	return packet
}

// overhears says whether a node hears a datagram on the lan that another sends to a third:
// its interface takes in frames that are for others.
func overhears(third, from, to *harness.Node, within time.Duration) bool {
	GinkgoHelper()
	link, err := third.Netlink().LinkByName("lan")
	Expect(err).NotTo(HaveOccurred())
	var fd int
	Expect(third.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0x08, 0}), Ifindex: link.Attrs().Index})
	})).To(Succeed())
	defer unix.Close(fd)
	conn, err := from.Dial(context.Background(), "udp", netip.AddrPortFrom(to.Addrs()[0], 9))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	_, err = conn.Write([]byte("overheard"))
	Expect(err).NotTo(HaveOccurred())
	for until := time.Now().Add(within); ; {
		left := time.Until(until)
		if left <= 0 {
			return false
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			Expect(err).NotTo(HaveOccurred())
		}
		buf := make([]byte, 256)
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		Expect(err).NotTo(HaveOccurred())
		if l, is := from.(*unix.SockaddrLinklayer); is && l.Pkttype == unix.PACKET_OTHERHOST && n == 28+len("overheard") && string(buf[28:n]) == "overheard" {
			return true
		}
	}
}
