package links_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// reflect sends each IPv4 packet that it reads back to who sent it, as a host of that address
// and port would that says what it is told: the sums stay what they are.
func reflect(packets io.ReadWriter) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := packets.Read(buf)
		if err != nil {
			return err
		}
		packet := buf[:n]
		if n < 28 || packet[0] != 0x45 || packet[9] != unix.IPPROTO_UDP {
			continue
		}
		if !isWhole(packet) {
			return errors.New("a packet came without its checksums")
		}
		swap(packet[12:16], packet[16:20])
		swap(packet[20:22], packet[22:24])
		if _, err := packets.Write(packet); err != nil {
			return err
		}
	}
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// isWhole says whether the sums of an IPv4 header and of the UDP datagram in it are right
// (RFC 791, RFC 768).
func isWhole(packet []byte) bool {
	pseudo := append(append([]byte{0, unix.IPPROTO_UDP}, packet[24:26]...), packet[12:]...)
	return sum(packet[:20]) == 0xffff && sum(pseudo) == 0xffff
}

func sum(data []byte) (total uint32) {
	if len(data)%2 != 0 {
		data = append(data[:len(data):len(data)], 0)
	}
	for i := 0; i < len(data); i += 2 {
		total += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return total
}

// cloud is a network with another behind a router's tun, which a program is.
func cloud() *topo.Network {
	network := topo.New("cloud")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("pc", lan).Route(topo.Route{To: "10.9.0.0/16", Via: "10.0.1.9"})
	r := network.Router("r", lan.At("10.0.1.9"))
	tun := r.Tun("tun0").Address("10.9.0.1/32", "fd00:9::1/128")
	r.Route(topo.Route{To: "10.9.0.0/16", Dev: tun})
	return network
}

// echoed has a plain socket send to an address behind a tun, and read what comes back.
func echoed(node *harness.Node, words string) {
	GinkgoHelper()
	conn, err := node.Dial(context.Background(), "udp", netip.MustParseAddrPort("10.9.7.7:7"))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	_, err = conn.Write([]byte(words))
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.SetReadDeadline(time.Now().Add(20 * time.Second))).To(Succeed())
	buf := make([]byte, 1500)
	n, err := conn.Read(buf)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(buf[:n])).To(Equal(words))
}

// TestReflects is no test, but the program that opens a tun by its name, or as descriptor 3.
func TestReflects(t *testing.T) {
	switch name := os.Getenv("NSTEST_LINKS_REFLECT"); name {
	case "":
	case "3":
		t.Log(reflect(os.NewFile(3, "tun")))
	default:
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			t.Fatal(err)
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			t.Fatal(err)
		}
		t.Log(reflect(os.NewFile(uintptr(fd), name)))
	}
}

// reflecting is that program, in a node.
func reflecting(node *harness.Node, how string) *harness.Cmd {
	GinkgoHelper()
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	cmd := node.Command(self, "-test.run=^TestReflects$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "NSTEST_LINKS_REFLECT="+how)
	return cmd
}

var _ = Describe("an interface that a program is", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.TUN) })

	It("is served by a function of the test", func() {
		lab := harness.Up(GinkgoTB(), cloud())
		pc, r := lab.Node("pc"), lab.Node("r")
		Expect(r.ServeTun("tun0", reflect)).To(Succeed())
		echoed(r, "one's own")
		echoed(pc, "handed on, with a sum that was left to the card")
		Expect(r.ServeTun("tun0", reflect)).To(MatchError(ContainSubstring("somebody has it open already")))
		Expect(r.ServeTun("lan", reflect)).To(MatchError("node r: serve lan: the node has no such interface of Tun or Tap: declare it"))
		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		echoed(twin.Node("pc"), "served in the twin as well")
		twin.Down()
	})

	It("passes the first packet of all", func() {
		for range 20 {
			lab := harness.Up(GinkgoTB(), cloud())
			Expect(lab.Node("r").ServeTun("tun0", reflect)).To(Succeed())
			echoed(lab.Node("pc"), "first")
			lab.Down()
		}
	})

	It("fails the test by the words with which its function ends", func() {
		t := &fallen{TB: GinkgoTB()}
		lab := harness.Up(t, cloud())
		Expect(lab.Node("r").ServeTun("tun0", func(packets io.ReadWriter) error {
			_, err := packets.Read(make([]byte, 100))
			return errors.Join(err, errors.New("no more of this"))
		})).To(Succeed())
		conn, err := lab.Node("r").Dial(context.Background(), "udp", netip.MustParseAddrPort("10.9.7.7:7"))
		Expect(err).NotTo(HaveOccurred())
		_, err = conn.Write([]byte("to be refused"))
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.Close()).To(Succeed())
		Eventually(func() bool { // its carrier goes with the function
			link, err := lab.Node("r").Netlink().LinkByName("tun0")
			Expect(err).NotTo(HaveOccurred())
			return link.Attrs().RawFlags&unix.IFF_LOWER_UP == 0
		}).WithTimeout(20 * time.Second).Should(BeTrue())
		lab.Down()
		Expect(t.wrong).To(Equal([]string{"node r: what serves tun0: no more of this"}))
	})

	It("is a program's that opens it by its name", func() {
		lab := up(cloud())
		harness.Start(GinkgoTB(), reflecting(lab.Node("r"), "tun0"), harness.Opened("tun0"))
		echoed(lab.Node("pc"), "to a program")
		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		twin.Down()
	})

	It("is a program's that is handed it", func() {
		lab := up(cloud())
		file, err := lab.Node("r").OpenTun("tun0")
		Expect(err).NotTo(HaveOccurred())
		cmd := reflecting(lab.Node("r"), "3")
		cmd.ExtraFiles = []*os.File{file}
		Expect(cmd.Start()).To(Succeed())
		echoed(lab.Node("pc"), "to a program")
	})

	It("is a cable, of frames that pass through the test", func(ctx SpecContext) {
		network := topo.New("cable")
		for i, name := range []string{"a", "b"} {
			addrs := [][]string{{"10.5.0.1/24", "fd00:5::1/64"}, {"10.5.0.2/24", "fd00:5::2/64"}}[i]
			network.Host(name).Tap("tap0").Address(addrs...)
		}
		lab := up(network)
		a, b := lab.Node("a"), lab.Node("b")
		one, err := a.OpenTun("tap0")
		Expect(err).NotTo(HaveOccurred())
		other, err := b.OpenTun("tap0")
		Expect(err).NotTo(HaveOccurred())
		for _, way := range [][2]*os.File{{one, other}, {other, one}} {
			go func() {
				frame := make([]byte, 1<<16)
				for n, err := way[0].Read(frame); err == nil; n, err = way[0].Read(frame) {
					_, _ = way[1].Write(frame[:n])
				}
			}()
		}
		to := []netip.Addr{netip.MustParseAddr("10.5.0.2"), netip.MustParseAddr("fd00:5::2")}
		passes(a, b, to...)
		probes.Serve(GinkgoTB(), b, probes.TCP(80), probes.UDP(53))
		for _, addr := range to {
			for _, probe := range all {
				result, err := probes.Ask(ctx, a, addr, probe)
				Expect(err).NotTo(HaveOccurred())
				Expect(result.Outcome).To(Equal(probes.Answered), result.String())
			}
		}
	})

	It("comes and goes while the lab is up", func() {
		lab := up(cloud())
		r := lab.Node("r")
		Expect(r.ServeTun("tun0", reflect)).To(Succeed())
		Expect(lab.Change(func(n *topo.Network) { n.Node("r").Tap("tap1").Address("10.8.0.1/24").MAC("02:00:00:00:00:07") })).To(Succeed())
		_, err := r.OpenTun("tap1")
		Expect(err).NotTo(HaveOccurred())
		links, err := inspect.Namespace{Handle: r.Netlink(), Do: r.Do}.Links()
		Expect(err).NotTo(HaveOccurred())
		Expect(links).To(ContainElement(And(HaveField("Name", "tap1"), HaveField("Kind", "tap"), HaveField("MAC", net.HardwareAddr{2, 0, 0, 0, 0, 7}.String()), HaveField("Carrier", true))))
		echoed(lab.Node("pc"), "the other stays")
		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		twin.Down()
	})
})
