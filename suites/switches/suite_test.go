// Package switches asks about what a switch does at its ports: isolated and locked ones,
// learning, flooding, entries that stay, VLANs; as declared and while the lab runs. The judge is
// plain sockets, which write down what arrived.
package switches_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Ports of switches")
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
	same(lab)
	return lab
}

// same has a twin of the lab be the same, which compares what the kernels have.
func same(lab *harness.Lab) {
	GinkgoHelper()
	twin, err := lab.Twin()
	Expect(err).NotTo(HaveOccurred())
	twin.Down()
}

// How long the judge waits for what is to come, and for what is not.
const (
	comes = 5 * time.Second
	stays = 200 * time.Millisecond
)

// brings says whether a datagram that a plain socket of a node sends to each address of another
// is read by a plain socket there, within a time.
func brings(from, to *harness.Node, within time.Duration) (read []bool) {
	GinkgoHelper()
	for _, addr := range to.Addrs() {
		read = append(read, bringsTo(from, to, addr, within))
	}
	return read
}

// bringsTo is brings to one address.
func bringsTo(from, to *harness.Node, addr netip.Addr, within time.Duration) bool {
	GinkgoHelper()
	conn, err := to.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0))
	Expect(err).NotTo(HaveOccurred())
	sender, err := from.Dial(context.Background(), "udp", netip.MustParseAddrPort(conn.LocalAddr().String()))
	Expect(err).NotTo(HaveOccurred())
	_, err = sender.Write([]byte("judge"))
	Expect(err).NotTo(HaveOccurred())
	read := reads(conn, within)
	Expect(sender.Close()).To(Succeed())
	Expect(conn.Close()).To(Succeed())
	return read
}

// passes has each address be reached by a plain socket, and keeps by none.
func passes(from, to *harness.Node) {
	GinkgoHelper()
	Expect(brings(from, to, comes)).To(HaveEach(BeTrue()), "%s to %s", from, to)
}

func keeps(from, to *harness.Node) {
	GinkgoHelper()
	Expect(brings(from, to, stays)).To(HaveEach(BeFalse()), "%s to %s", from, to)
}
