// Package links asks over every kind of link: that a first packet passes, that probes tell
// what is let through from what is not, that a fault which is planted there is named, and
// that a second lab from the same plan is the same.
package links_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Kinds of link")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
})

// up makes a network real, and has a second one from its plan be the same.
func up(network *topo.Network) *harness.Lab {
	GinkgoHelper()
	lab := harness.Up(GinkgoTB(), network)
	twin, err := lab.Twin()
	Expect(err).NotTo(HaveOccurred())
	twin.Down()
	return lab
}

// passes has a plain UDP socket of a node send one datagram to each of a target's
// addresses, which a plain socket there reads: the first packets of all.
func passes(from, to *harness.Node, addrs ...netip.Addr) {
	GinkgoHelper()
	for _, addr := range addrs {
		conn, err := to.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0))
		Expect(err).NotTo(HaveOccurred())
		sender, err := from.Dial(context.Background(), "udp", netip.MustParseAddrPort(conn.LocalAddr().String()))
		Expect(err).NotTo(HaveOccurred())
		_, err = sender.Write([]byte("first"))
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.SetReadDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
		buf := make([]byte, 16)
		n, _, err := conn.ReadFrom(buf)
		Expect(err).NotTo(HaveOccurred(), "nothing came to %s", addr)
		Expect(string(buf[:n])).To(Equal("first"))
		Expect(sender.Close()).To(Succeed())
		Expect(conn.Close()).To(Succeed())
	}
}

var all = []probes.Probe{probes.ICMP(), probes.TCP(80), probes.UDP(53)}

// reaches asks by every probe.
func reaches(ctx context.Context, from *harness.Node, to probes.Target) {
	GinkgoHelper()
	for _, probe := range all {
		Expect(from).To(probes.Reach(to, probe).WithContext(ctx))
	}
}
