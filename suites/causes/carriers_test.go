package causes_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// heardAt are the datagrams that a plain socket of a node reads.
func heardAt(ctx context.Context, node *harness.Node, port uint16) <-chan string {
	GinkgoHelper()
	conn, err := node.ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	heard := make(chan string, 100)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			heard <- from.String() + ": " + string(buf[:n])
		}
	}()
	return heard
}

// inNode opens a socket in a node, and gives its reads up after a time.
func inNode(node *harness.Node, family, kind, protocol int, set func(fd int) error) (fd int) {
	GinkgoHelper()
	Expect(node.Do(func() (err error) {
		fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		if err == nil {
			err = set(fd)
		}
		return err
	})).To(Succeed())
	patience := unix.NsecToTimeval(int64(100 * time.Millisecond))
	Expect(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)).To(Succeed())
	return fd
}

// reading hands what a socket reads to a function, until the spec's end.
func reading(fd int, each func(data []byte, from unix.Sockaddr)) {
	done, ended := make(chan struct{}), make(chan struct{})
	DeferCleanup(func() {
		close(done)
		<-ended
		Expect(unix.Close(fd)).To(Succeed())
	})
	go func() {
		defer close(ended)
		buf := make([]byte, 70000)
		for {
			select {
			case <-done:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err == nil {
				each(buf[:n], from)
			} else if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
}

// ethernet is the size of a frame's header.
const ethernet = 14

// unsum takes the checksum out of a UDP datagram, which its sender left to the device.
func unsum(packet []byte) {
	const header, protocol, sum = 20, 9, 6
	if len(packet) >= header+sum+2 && packet[0] == 4<<4|header/4 && packet[protocol] == unix.IPPROTO_UDP {
		copy(packet[header+sum:], []byte{0, 0})
	}
}

// logReader is a program that reads what rules log to a group, and sends the packets on by a
// raw socket.
func logReader(node *harness.Node, group uint16, after time.Duration) {
	GinkgoHelper()
	out := inNode(node, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW, func(int) error { return nil })
	DeferCleanup(unix.Close, out)
	in := inNode(node, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
	const config = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG
	for _, attribute := range [][]byte{
		{5, 0, 1, 0, 1, 0, 0, 0},                    // NFULA_CFG_CMD: bind
		{10, 0, 2, 0, 0, 0, 0xff, 0xff, 2, 0, 0, 0}, // NFULA_CFG_MODE: whole packets
		{8, 0, 5, 0, 0, 0, 0, 1},                    // NFULA_CFG_QTHRESH: each at once
	} {
		configure(in, config, unix.AF_INET, group, attribute)
	}
	later := new(laters)
	defer DeferCleanup(later.end) // before the sockets are closed
	reading(in, func(data []byte, _ unix.Sockaddr) {
		const head, payload = 20, 9 // nlmsghdr and nfgenmsg; NFULA_PAYLOAD
		for data = data[min(head, len(data)):]; len(data) >= 4; {
			length := max(4, int(binary.NativeEndian.Uint16(data)))
			if binary.NativeEndian.Uint16(data[2:])&0x3fff == payload {
				packet := append([]byte(nil), data[4:length]...)
				unsum(packet)
				later.after(after, func() {
					_ = unix.Sendto(out, packet, 0, &unix.SockaddrInet4{Addr: [4]byte(packet[16:20])})
				})
			}
			data = data[min(len(data), (length+3)&^3):]
		}
	})
}

// configure tells netfilter of what a socket reads: of a log's group, or a queue.
func configure(fd int, message uint16, family byte, number uint16, attribute []byte) {
	GinkgoHelper()
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+4+len(attribute)))
	m = binary.NativeEndian.AppendUint16(m, message)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m = append(m, 0, 0, 0, 0, 0, 0, 0, 0, family, 0)
	m = append(binary.BigEndian.AppendUint16(m, number), attribute...)
	Expect(unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})).To(Succeed())
	ack := make([]byte, 1000)
	_, _, err := unix.Recvfrom(fd, ack, 0)
	Expect(err).NotTo(HaveOccurred())
	Expect(ack[unix.NLMSG_HDRLEN:][:4]).To(Equal(make([]byte, 4)), "what the kernel said to the reader")
}

// asks has a node ask for its neighbours on a link for as long as any probe waits, and not
// for three seconds, which a busy machine may be late (mcast_solicit).
func asks(node *harness.Node, device string) {
	GinkgoHelper()
	for _, family := range []string{"ipv4", "ipv6"} {
		Expect(node.SetSysctl("net."+family+".neigh."+device+".mcast_solicit", "100")).To(Succeed())
	}
}

// laters are what programs do after a while, until end. What they do it with is closed then:
// its number may be a socket of somebody else's.
type laters struct {
	mu   sync.Mutex
	over bool
}

func (l *laters) after(d time.Duration, do func()) {
	time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.over {
			do()
		}
	})
}

func (l *laters) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// cable is a program that hands frames from one node's link to another's.
func cable(a, b *harness.Node, linkA, linkB string, after time.Duration) {
	GinkgoHelper()
	open := func(node *harness.Node, name string) (fd, index int) {
		index = link(node, name).Attrs().Index
		const all = 0x0300 // ETH_P_ALL, as the network has it
		fd = inNode(node, unix.AF_PACKET, unix.SOCK_RAW, all, func(fd int) error {
			if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}); err != nil {
				return err
			}
			return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
		})
		return fd, index
	}
	fdA, indexA := open(a, linkA)
	fdB, indexB := open(b, linkB)
	later := new(laters)
	carry := func(from, to, index int) {
		reading(from, func(data []byte, sender unix.Sockaddr) {
			if at, is := sender.(*unix.SockaddrLinklayer); is && at.Pkttype == unix.PACKET_OUTGOING {
				return
			}
			frame := append([]byte(nil), data...)
			unsum(frame[ethernet:])
			later.after(after, func() { _ = unix.Sendto(to, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}) })
		})
	}
	carry(fdA, fdB, indexB)
	carry(fdB, fdA, indexA)
	DeferCleanup(later.end) // before the sockets are closed
}

var _ = Describe("what a program does later", func() {
	It("is not done when its socket is closed", func() {
		later, done := new(laters), make(chan struct{}, 2)
		later.after(0, func() { done <- struct{}{} })
		Eventually(done).WithTimeout(soon).Should(Receive())
		later.after(time.Millisecond, func() { done <- struct{}{} })
		later.end()
		for len(done) > 0 {
			<-done
		}
		Consistently(done).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
	})
})

var _ = Describe("a packet that a rule drops", func() {
	DescribeTable("arrives all the same by a program that reads the log", func(ctx SpecContext, after time.Duration) {
		o := up()
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; udp dport 9 log group 5 drop; }; }`)).To(Succeed())
		heard := heardAt(ctx, o.server, 9)
		nothing := probes.UDP(9).Within(500 * time.Millisecond)
		Expect(o.client).To(probes.BeIsolatedFrom(server4, nothing).WithContext(ctx))
		Expect(heard).NotTo(Receive())

		logReader(o.fw, 5, after)
		ok, err := probes.BeIsolatedFrom(server4, nothing).WithContext(ctx).Match(o.client)
		Expect(ok).To(BeFalse(), "%v", err)
		Expect(heard).To(Receive())
	},
		Entry("at once", time.Millisecond),
		Entry("and takes its time", 150*time.Millisecond),
	)

	It("is not shown to isolate while a copy of it waits for a neighbour", func(ctx SpecContext) {
		network := topo.New("copied")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.2.0/24")
		side, back := network.Switch("side", "10.0.5.0/24"), network.Switch("back", "10.0.6.0/24")
		network.Host("client", lan)
		network.Host("server", wan.At("10.0.2.1"), back.At("10.0.6.9"))
		network.Router("fw", lan, wan, side.At("10.0.5.1"))
		network.Router("other", side.At("10.0.5.2"), back).Route(topo.Route{To: "10.0.2.1/32", Via: "10.0.6.9"})
		lab := harness.Up(GinkgoTB(), network)
		client, server, fw, other := lab.Node("client"), lab.Node("server"), lab.Node("fw"), lab.Node("other")
		for _, where := range []string{"all", "back"} {
			Expect(server.SetSysctl("net.ipv4.conf."+where+".rp_filter", "0")).To(Succeed())
		}
		Expect(fw.Nft(`table ip m { chain pre { type filter hook prerouting priority -300; iifname "lan" udp dport 9 dup to 10.0.5.2 device "side"; }; }
			table ip f { chain c { type filter hook forward priority 0; policy drop; }; }`)).To(Succeed())
		heard := heardAt(ctx, server, 9)
		arp := link(other, "side")
		Expect(other.Netlink().LinkSetARPOff(arp)).To(Succeed())
		noVerdict(probes.BeIsolatedFrom(server4, probes.UDP(9).Within(300*time.Millisecond)).WithContext(ctx), client,
			"dropped at fw by policy drop of ip f c; but a copy of the request still waits at fw/side")
		Expect(heard).NotTo(Receive())
		Expect(other.Netlink().LinkSetARPOn(arp)).To(Succeed())
		Eventually(heard).WithTimeout(5 * time.Second).Should(Receive())
	})
})

var _ = Describe("two that nothing joins", func() {
	DescribeTable("are not apart where programs are a cable", func(ctx SpecContext, after time.Duration) {
		network := topo.New("cable")
		a, b := network.Switch("a", "10.0.2.0/24"), network.Switch("b", "10.0.2.0/24")
		network.Host("client", a.At("10.0.2.2"))
		network.Host("one", a.NoAddress())
		network.Host("server", b.At("10.0.2.1"))
		network.Host("two", b.NoAddress())
		lab := harness.Up(GinkgoTB(), network)
		client, server := lab.Node("client"), lab.Node("server")
		asks(client, "a")
		heard := heardAt(ctx, server, 9)
		nothing := probes.UDP(9).Within(500 * time.Millisecond)
		Expect(client).To(probes.BeIsolatedFrom(server, nothing).Because("nopath").WithContext(ctx))

		cable(lab.Node("one"), lab.Node("two"), "a", "b", after)
		// The neighbour is asked for again after a second, and over the slow cable for 800 ms; the
		// programs that are the cable have their turn late where a machine is busy.
		notHeld(probes.BeIsolatedFrom(server, nothing.Within(5*time.Second)).WithContext(ctx), client, "was last seen at server/b")
		Eventually(heard).WithTimeout(soon).Should(Receive())
		matrix, err := probes.WatchSurvey(ctx, lab, probes.UDP(77))
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("client", "server")).NotTo(Equal("nopath"))
		Expect(matrix.Cell("server", "client")).NotTo(Equal("nopath"))
	},
		Entry("that is quick", time.Millisecond),
		Entry("that is slow", 400*time.Millisecond),
	)
})
