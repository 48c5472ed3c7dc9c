package verdicts_test

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// wire is a packet socket of one interface: whole frames in and out, each behind what
// the kernel has left to do of it (checksums): struct virtio_net_hdr.
type wire struct {
	mu sync.Mutex
	fd int
}

// leftToDo is the size of struct virtio_net_hdr (packet(7), PACKET_VNET_HDR).
const leftToDo = 10

// tapped opens a packet socket of an interface for a protocol.
func tapped(node *harness.Node, device string, protocol uint16) *wire {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	w := new(wire)
	Expect(node.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		order := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
		if err = unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: order, Ifindex: link.Attrs().Index}); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(w.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			return err
		}
		return unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	})).To(Succeed())
	return w
}

// each hands incoming frames to f until the spec is over.
func (w *wire) each(f func(frame []byte)) {
	over, done := make(chan struct{}), make(chan struct{})
	DeferCleanup(func() {
		close(over)
		<-done
		w.close()
	})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			select {
			case <-over:
				return
			default:
			}
			n, from, err := unix.Recvfrom(w.fd, buf, 0)
			if at, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && n > leftToDo && at.Pkttype != unix.PACKET_OUTGOING {
				f(append([]byte(nil), buf[:n]...))
			}
		}
	}()
}

// send sends a frame, unless the socket is closed: its number may be another's by then.
func (w *wire) send(frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		_, _ = unix.Write(w.fd, frame)
	}
}

func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = unix.Close(w.fd)
	w.fd = -1
}

// mac is a node's on a segment.
func mac(node *harness.Node, device string) []byte {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	return link.Attrs().HardwareAddr
}

// forwarder is a program on a node that hands IPv4 packets on by itself, after a while,
// whatever the node's kernel does: from one device to a neighbour on the other.
func forwarder(node *harness.Node, from, to string, neighbour []byte, after time.Duration) {
	GinkgoHelper()
	in, out := tapped(node, from, unix.ETH_P_IP), tapped(node, to, unix.ETH_P_IP)
	DeferCleanup(out.close)
	own := map[netip.Addr]bool{}
	for _, addr := range node.Addrs() {
		own[addr] = true
	}
	source := mac(node, to)
	in.each(func(packet []byte) {
		frame := packet[leftToDo:]
		if len(frame) < 34 || own[netip.AddrFrom4([4]byte(frame[30:34]))] {
			return
		}
		copy(frame[:6], neighbour)
		copy(frame[6:12], source)
		time.AfterFunc(after, func() { out.send(packet) })
	})
}

// lateARP makes a node answer ARP for an address only after a while.
func lateARP(node *harness.Node, device string, addr netip.Addr, after time.Duration) {
	GinkgoHelper()
	Expect(node.SetSysctl("net.ipv4.conf.all.arp_ignore", "8")).To(Succeed()) // answers for nothing by itself
	w, own := tapped(node, device, unix.ETH_P_ARP), mac(node, device)
	w.each(func(packet []byte) {
		frame := packet[leftToDo:]
		if len(frame) < 42 || frame[21] != 1 || netip.AddrFrom4([4]byte(frame[38:42])) != addr {
			return
		}
		asked := append([]byte(nil), packet[:leftToDo+42]...)
		answer := asked[leftToDo:]
		copy(answer, frame[6:12])
		copy(answer[6:], own)
		answer[21] = 2
		copy(answer[22:], own)
		copy(answer[28:], frame[38:42])
		copy(answer[32:], frame[22:32])
		time.AfterFunc(after, func() { w.send(asked) })
	})
}
