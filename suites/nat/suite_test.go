// Package nat asks through every translation of addresses that topo has as a line: who
// answered, and whom a service saw. The judge is plain sockets: a service says who it is and
// which peer it sees.
package nat_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
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
	RunSpecs(t, "Translation of addresses")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
	harness.Require(GinkgoTB(), harness.NftTool)
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

// How long the judge waits for what is to come, and for what is not.
const (
	comes = 5 * time.Second
	stays = 200 * time.Millisecond
)

// serve has a node answer at ports, over TCP and UDP and both families, with its name and
// the address that the question came from: "web 10.0.9.1".
func serve(node *harness.Node, ports ...uint16) {
	GinkgoHelper()
	says := func(peer net.Addr) []byte {
		return fmt.Appendf(nil, "%s %s", node.Name(), netip.MustParseAddrPort(peer.String()).Addr().Unmap().WithZone(""))
	}
	for _, port := range ports {
		for _, at := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			family := map[bool]string{true: "4", false: "6"}[at.Is4()]
			listener, err := node.Listen(context.Background(), "tcp"+family, netip.AddrPortFrom(at, port))
			Expect(err).NotTo(HaveOccurred())
			packets, err := node.ListenPacket(context.Background(), "udp"+family, netip.AddrPortFrom(at, port))
			Expect(err).NotTo(HaveOccurred())
			var running sync.WaitGroup
			DeferCleanup(func() {
				Expect(errors.Join(listener.Close(), packets.Close())).To(Succeed())
				running.Wait()
			})
			running.Go(func() { answerTCP(listener, says) })
			running.Go(func() { answerUDP(packets, says) })
		}
	}
}

// answerTCP answers all that comes by each connection, until it has no listener. It ends those
// as well whose other end can say nothing more.
func answerTCP(listener net.Listener, says func(net.Addr) []byte) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		running.Go(func() {
			for question := make([]byte, 16); ; {
				if _, err := conn.Read(question); err != nil {
					return
				}
				if _, err := conn.Write(says(conn.RemoteAddr())); err != nil {
					return
				}
			}
		})
	}
}

func answerUDP(packets net.PacketConn, says func(net.Addr) []byte) {
	for question := make([]byte, 16); ; {
		_, peer, err := packets.ReadFrom(question)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = packets.WriteTo(says(peer), peer) // that nobody gets it is what the asker says
		}
	}
}

// ask puts a question to a service by a connection, and returns what it says: who it is, and
// whom it sees; "" when nothing came in time, or somebody refused.
func ask(conn net.Conn, within time.Duration) string {
	GinkgoHelper()
	Expect(conn.SetDeadline(time.Now().Add(within))).To(Succeed())
	_, err := conn.Write([]byte("who?"))
	Expect(err).NotTo(HaveOccurred())
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil {
		return ""
	}
	return string(answer[:n])
}

// connect makes a connection, and nil where none came about in time.
func connect(from *harness.Node, protocol string, to netip.AddrPort, within time.Duration) net.Conn {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := from.Dial(ctx, protocol, to)
	if err != nil {
		return nil
	}
	DeferCleanup(func() { _ = conn.Close() }) // it may be closed by then
	return conn
}

// protocols are those that everything is asked by.
var protocols = []string{"tcp", "udp"}

// says asks at an address and a port by every protocol, each of which has to get the same
// answer.
func says(from *harness.Node, to netip.Addr, port uint16) string {
	GinkgoHelper()
	var answers []string
	for _, protocol := range protocols {
		conn := connect(from, protocol, netip.AddrPortFrom(to, port), comes)
		Expect(conn).NotTo(BeNil(), "%s to %s", protocol, netip.AddrPortFrom(to, port))
		answers = append(answers, ask(conn, comes))
	}
	Expect(answers).To(HaveEach(answers[0]))
	return answers[0]
}

// Chains of the translations, as the plan has them.
const (
	onTheWayIn  = "inet nat prerouting"
	onTheWayOut = "inet nat postrouting"
)

// reaches says that who asks at an address and a port is answered by a node that sees a peer: by
// the judge, and by probes with the same words, which these of the router's chains have translated.
func reaches(ctx SpecContext, from *harness.Node, to netip.Addr, port uint16, by *harness.Node, peer netip.Addr, chains ...string) {
	GinkgoHelper()
	Expect(says(from, to, port)).To(Equal(answer(by, peer)))
	for _, p := range []probes.Probe{probes.TCP(port), probes.UDP(port)} {
		reach := probes.Reach(to, p.Send("who?").Await(answer(by, peer)).Within(comes)).AnsweredBy(by.Name()).WithContext(ctx)
		if by.Name() != "r" {
			reach = reach.Through("r")
		}
		for _, chain := range chains {
			reach = reach.TranslatedBy("r", chain)
		}
		Expect(from).To(reach)
	}
}

// unanswered says that nobody answers there, by any protocol.
func unanswered(from *harness.Node, to netip.Addr, port uint16) {
	GinkgoHelper()
	for _, protocol := range protocols {
		if conn := connect(from, protocol, netip.AddrPortFrom(to, port), stays); conn != nil {
			Expect(ask(conn, stays)).To(BeEmpty(), "%s to %s", protocol, netip.AddrPortFrom(to, port))
		}
	}
}

// answer is what a service of a node says to who has an address.
func answer(node *harness.Node, peer netip.Addr) string {
	return strings.Join([]string{node.Name(), peer.String()}, " ")
}

// of is a node's address on a segment, one of each family, IPv4's first.
func of(node *harness.Node, segment string) (addrs []netip.Addr) {
	GinkgoHelper()
	addrs = node.On(segment).Addrs()
	Expect(len(addrs)).To(BeNumerically(">=", 2))
	Expect(addrs[0].Is4()).To(BeTrue())
	return addrs
}
