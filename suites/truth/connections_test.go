package truth_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// conversing says whether connections with a node are open still in a lab, at either end:
// of those that earlier questions made some send once more for minutes, where rules let
// through how they begin and not what is said. A kernel does not count apart whose segments
// it gets.
func conversing(lab *harness.Lab, with string) (bool, error) {
	there := addressesNow(lab.Node(with))
	for _, node := range lab.Nodes() {
		open, err := connectionsOf(node)
		if err != nil {
			return false, fmt.Errorf("connections of %s: %w", node, err)
		}
		for _, peer := range open {
			if node.Name() == with || slices.Contains(there, peer) {
				return true, nil
			}
		}
	}
	return false, nil
}

// connectionsOf are the other ends of a node's connections that may be sent something
// still: those that listen, or are over, are not.
func connectionsOf(node *harness.Node) (peers []netip.Addr, err error) {
	err = node.Do(func() error {
		for _, name := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + name)
			if os.IsNotExist(err) && name == "tcp6" {
				continue // a kernel without IPv6
			}
			if err != nil {
				return err
			}
			peers = append(peers, readConnections(string(text))...)
		}
		return nil
	})
	return peers, err
}

// readConnections reads a list of sockets: a line each, whose third word is the other end
// and whose fourth is the state (include/net/tcp_states.h).
func readConnections(text string) (peers []netip.Addr) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 4 || slices.Contains([]string{"06", "07", "0A"}, words[3]) { // TIME_WAIT, CLOSE, LISTEN
			continue
		}
		word, _, _ := strings.Cut(words[2], ":")
		bytes, err := hex.DecodeString(word)
		for i := 0; i+4 <= len(bytes); i += 4 {
			slices.Reverse(bytes[i : i+4]) // as this machine has it
		}
		if addr, ok := netip.AddrFromSlice(bytes); ok && err == nil {
			peers = append(peers, addr.Unmap())
		}
	}
	return peers
}

var _ = Describe("a connection that is open still", func() {
	It("is known at both of its ends, and no more once it is over", func(ctx SpecContext) {
		err := in("conversing", func(s *scope) {
			lab := known().up(s)
			server, err := lab.Node("site").Listen(ctx, tcp, netip.MustParseAddrPort("10.0.2.1:81"))
			Expect(err).NotTo(HaveOccurred())
			defer server.Close()
			talks := func() []bool {
				pc, err := conversing(lab, "pc")
				Expect(err).NotTo(HaveOccurred())
				site, err := conversing(lab, "site")
				Expect(err).NotTo(HaveOccurred())
				fw, err := conversing(lab, "fw")
				Expect(err).NotTo(HaveOccurred())
				return []bool{pc, site, fw}
			}
			Expect(talks()).To(Equal([]bool{false, false, false}))
			client, err := lab.Node("pc").Dial(ctx, tcp, netip.MustParseAddrPort("10.0.2.1:81"))
			Expect(err).NotTo(HaveOccurred())
			peer, err := server.Accept()
			Expect(err).NotTo(HaveOccurred())
			Expect(talks()).To(Equal([]bool{true, true, false}))
			Expect(client.Close()).To(Succeed())
			Expect(peer.Close()).To(Succeed())
			Eventually(talks).WithContext(ctx).Should(Equal([]bool{false, false, false}))
		})
		Expect(err).NotTo(HaveOccurred())
	})

	It("is read in either family", func() {
		Expect(readConnections("  sl  local_address rem_address   st tx_queue rx_queue\n" +
			"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n" +
			"   1: 0201000A:0050 0101000A:C350 04 00000000:00000000\n" +
			"   2: 0201000A:0050 0301000A:C350 06 00000000:00000000\n" +
			"   3: 000000FD000001000000000003000000:0050 010000FD000001000000000002000000:A1B2 01 00000000:00000000\n",
		)).To(Equal([]netip.Addr{netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00:1:1::2")}))
	})
})
