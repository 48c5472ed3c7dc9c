package links_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// listening opens a socket at a node's port; the returned func says how many datagrams came
// since it was asked last.
func listening(node *harness.Node, port uint16) func() int {
	GinkgoHelper()
	conn, err := node.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	raw, err := conn.(*net.UDPConn).SyscallConn()
	Expect(err).NotTo(HaveOccurred())
	return func() (came int) {
		GinkgoHelper()
		Expect(raw.Read(func(fd uintptr) bool {
			for {
				if _, _, err := unix.Recvfrom(int(fd), make([]byte, 64), unix.MSG_DONTWAIT); err != nil {
					return true
				}
				came++
			}
		})).To(Succeed())
		return came
	}
}

var _ = Describe("a network that is changed while it is up", func() {
	var lab *harness.Lab

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("changes")
		lan, dmz := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
		network.Host("client", lan)
		network.Host("server", dmz)
		network.Router("fw", lan, dmz).Nft(`table inet f { chain forward { type filter hook forward priority 0; policy accept; udp dport 7000-7999 drop comment "closed"; }; }`)
		lab = harness.Up(GinkgoTB(), network)
	})

	It("is surveyed as it is, and its new nodes are asked and told of", func(ctx SpecContext) {
		Expect(lab.Node("client")).To(probes.BeIsolatedFrom(lab.Node("server"), probes.UDP(7000)).By("closed").WithContext(ctx))
		Expect(lab.Change(func(n *topo.Network) {
			lab := n.Switch("lab", "10.0.3.0/24", "fd00:3::/64")
			n.Router("gw", n.Segment("dmz"), lab).Nft(`table inet f { chain forward { type filter hook forward priority 0; policy accept; meta l4proto tcp drop comment "no tcp"; }; }`)
			n.Host("bench", lab)
			n.Remove(n.Node("server"))
		})).To(Succeed())
		client, bench := lab.Node("client"), lab.Node("bench")
		passes(client, bench, bench.Addrs()...)
		Expect(probes.WatchSurvey(ctx, lab, probes.ICMP())).To(probes.MatchMatrix(`
			        client  fw  gw  bench
			client  .       ok  ok  ok
			fw      ok      .   ok  ok
			gw      ok      ok  .   ok
			bench   ok      ok  ok  .
		`))
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(bench, probes.TCP(80))).At("gw").By("no tcp").WithContext(ctx))
		Expect(client).To(probes.BeIsolatedFrom(bench, probes.UDP(7000)).At("fw").By("closed").WithContext(ctx))
	})

	It("is told the truth of, or nothing, while that happens", func(ctx SpecContext) {
		client, server := lab.Node("client"), lab.Node("server")
		turns, ended := make(chan bool), make(chan error, 1)
		var made atomic.Int64 // changes that have ended
		go func() {           // a way past the firewall comes and goes
			defer GinkgoRecover()
			turn := 0
			for range turns {
				if err := lab.Change(func(n *topo.Network) { pastTheWall(n, turn) }); err != nil {
					ended <- err
					return
				}
				turn++
				made.Store(int64(turn))
			}
			ended <- nil
		}()
		// Each check has a port of its own, where what comes late is known as well.
		var held, others []func() int
		var unsaid []error
		was, calm := int64(0), 0
		enough := func() bool { return made.Load() >= 6 && len(held) >= 6 }
		for i, end := uint16(0), time.Now().Add(time.Minute); i < 900 && !enough() && time.Now().Before(end); i++ {
			came := listening(server, 7000+i)
			if now := made.Load(); now != was {
				was, calm = now, 0
			}
			if calm++; calm > 3 { // between changes some are asked in peace
				select {
				case turns <- true: // while this one is asked
				default:
				}
			}
			holds, err := probes.BeIsolatedFrom(server, probes.UDP(7000+i).Within(200*time.Millisecond)).WithContext(ctx).Match(client)
			if holds {
				held = append(held, came)
				continue
			}
			others = append(others, came)
			if err != nil {
				unsaid = append(unsaid, err)
			}
		}
		close(turns)
		Expect(<-ended).NotTo(HaveOccurred())
		for _, err := range unsaid {
			Expect(err).To(Or(MatchError(ContainSubstring("client is not shown to be isolated from server")),
				MatchError(ContainSubstring("node client has no interface past")), MatchError(unix.ENODEV)), "or it is asked of a link that goes")
		}
		for _, came := range held {
			Expect(came()).To(BeZero(), "it was said to be isolated, and was sent to")
		}
		came := 0
		for _, of := range others {
			came += of()
		}
		Expect(came).To(BeNumerically(">", 0), "there was a way at times")
		Expect(held).NotTo(BeEmpty(), "and none at others")
		GinkgoWriter.Printf("%d held, %d did not; %d datagrams came\n", len(held), len(others), came)
	})
})

// pastTheWall gives client and server a wire of their own, or takes it away.
func pastTheWall(n *topo.Network, turn int) {
	name := fmt.Sprintf("past%d", turn/2)
	if turn%2 == 1 {
		n.Remove(n.Segment(name))
		n.Node("client").NoRoute("10.0.2.0/24", "fd00:2::/64")
		n.Node("server").NoRoute("10.0.1.0/24", "fd00:1::/64")
		return
	}
	wire := n.Wire(name, "10.0.9.0/30", "fd00:9::/64")
	n.Node("client").Attach(wire.At("10.0.9.1", "fd00:9::1")).Route(topo.Route{To: "10.0.2.0/24", Via: "10.0.9.2"}, topo.Route{To: "fd00:2::/64", Via: "fd00:9::2"})
	n.Node("server").Attach(wire.At("10.0.9.2", "fd00:9::2")).Route(topo.Route{To: "10.0.1.0/24", Via: "10.0.9.1"}, topo.Route{To: "fd00:1::/64", Via: "fd00:9::1"})
}
