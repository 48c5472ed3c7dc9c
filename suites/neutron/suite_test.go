// Package neutron builds what OpenStack's networking agents build: routers and DHCP servers in
// namespaces (qrouter, qdhcp) around Open vSwitch's br-int and around Linux bridges, and security
// groups by iptables and by flows. It asks whether tenants with the same addresses are apart, and
// what a wrong VLAN, a leaked route or a missing rule does. The judge is plain sockets.
package neutron_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Neutron's networks")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
})

// stays is how long nothing must come, and patience how long what is to come may take.
const (
	stays    = 200 * time.Millisecond
	patience = 30 * time.Second
)

// hears says whether a datagram from one of a node's addresses to a port of another's comes there:
// the judge.
func hears(from netip.Addr, by, at *harness.Node, port uint16, within time.Duration) bool {
	GinkgoHelper()
	conn, err := at.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	sender, err := by.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(from, 0))
	Expect(err).NotTo(HaveOccurred())
	defer sender.Close()
	_, err = sender.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.Addr(), port)))
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.SetReadDeadline(time.Now().Add(within))).To(Succeed())
	n, _, err := conn.ReadFrom(make([]byte, 16))
	return err == nil && n > 0
}

// connects says whether a plain connection is made.
func connects(from *harness.Node, to netip.AddrPort, within time.Duration) bool {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// sh runs a script in a node, and returns what it says.
func sh(node *harness.Node, script string) string {
	GinkgoHelper()
	out, err := node.Command("sh", "-euc", script).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return string(out)
}

// installed has a package's files in a node.
func installed(name string, node *harness.Node) {
	GinkgoHelper()
	root, err := harness.PackageRoot(name)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Layer(root)).To(Succeed())
}
