package links_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// readsFrames opens a socket for the frames of IPv4 that come to a node.
func readsFrames(node *harness.Node) (fd int) {
	GinkgoHelper()
	Expect(node.Do(func() (err error) {
		const ipv4 = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, ipv4)
		return err
	})).To(Succeed())
	DeferCleanup(unix.Close, fd)
	return fd
}

var _ = Describe("a checksum that a program reads", func() {
	send := func(ctx SpecContext, from, to *harness.Node) (whole bool) {
		GinkgoHelper()
		fd := readsFrames(to)
		conn, err := from.Dial(ctx, "udp", netip.AddrPortFrom(to.Addr(), 67))
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		_, err = conn.Write([]byte("discover"))
		Expect(err).NotTo(HaveOccurred())
		const protocol = 9 // where it is in the header: a host also says which groups it is in
		packet, n := make([]byte, 1500), 0
		Eventually(func() (of byte, err error) {
			n, _, err = unix.Recvfrom(fd, packet, 0)
			return packet[protocol], err
		}).WithContext(ctx).Should(BeEquivalentTo(unix.IPPROTO_UDP))
		return isWhole(packet[:n])
	}

	It("is whole without offload, also of who comes later", func(ctx SpecContext) {
		network := topo.New("office")
		lan := network.Switch("lan", "10.0.1.0/24").NoOffload()
		network.Host("client", lan)
		network.Host("server", lan)
		lab := harness.Up(GinkgoTB(), network)
		client, server := lab.Node("client"), lab.Node("server")
		Expect(send(ctx, client, server)).To(BeTrue())
		Expect(lab.Change(func(n *topo.Network) { n.Host("late", n.Segment("lan")) })).To(Succeed())
		Expect(send(ctx, lab.Node("late"), server)).To(BeTrue())
		Expect(lab.Plan().String()).To(ContainSubstring("lan [no offload]"))
	})

	It("is left to the hardware else, and from the change on not", func(ctx SpecContext) {
		network := topo.New("office")
		lan := network.Switch("lan", "10.0.1.0/24")
		network.Host("client", lan)
		network.Host("server", lan)
		lab := harness.Up(GinkgoTB(), network)
		Expect(send(ctx, lab.Node("client"), lab.Node("server"))).To(BeFalse(), "the control")
		Expect(lab.Change(func(n *topo.Network) { n.Segment("lan").NoOffload() })).To(Succeed())
		Expect(send(ctx, lab.Node("client"), lab.Node("server"))).To(BeTrue())
	})
})
