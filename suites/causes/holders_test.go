package causes_test

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// chatter opens connections to a port all the time, and closes each after a while.
func chatter(ctx context.Context, from *harness.Node, to netip.AddrPort) {
	GinkgoHelper()
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	var made atomic.Int32
	var open sync.WaitGroup
	go func() {
		defer close(done)
		defer open.Wait()
		ticker := time.NewTicker(4 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if conn, err := from.Dial(ctx, "tcp", to); err == nil {
				made.Add(1)
				open.Add(1)
				time.AfterFunc(80*time.Millisecond, func() { defer open.Done(); _ = conn.Close() })
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	DeferCleanup(func() { stop(); <-done })
	Eventually(made.Load).Should(BeNumerically(">", 2))
}

// hiding is client, neighbour - lan - nat - mid - fw - dmz - server: nat hides the ports that
// connections come from, and fw does what the rules say.
func hiding(rules string) (o office, nat, neighbour *harness.Node) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	network := topo.New("hiding")
	lan, mid, dmz := network.Switch("lan", lan4.String()), network.Switch("mid", "10.0.5.0/24"), network.Switch("dmz", dmz4.String())
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Host("neighbour", lan)
	network.Router("nat", lan, mid).Nft(`table ip nat { chain post { type nat hook postrouting priority 100; oifname "mid" masquerade random; }; }`)
	network.Router("fw", mid, dmz).Nft(rules)
	lab := harness.Up(GinkgoTB(), network)
	return office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}, lab.Node("nat"), lab.Node("neighbour")
}

// cellOf is what a survey says, bare or under watch.
func cellOf(ctx SpecContext, from *harness.Node, to *harness.Node, watched bool, p probes.Probe) string {
	GinkgoHelper()
	grid := probes.Grid{From: []*harness.Node{from}, To: []probes.Target{to}, Probes: []probes.Probe{p}, Watch: watched}
	matrix, err := grid.Survey(ctx)
	Expect(err).NotTo(HaveOccurred())
	return matrix.Cell(from.Name(), to.Name())
}

var _ = Describe("who has a connection", func() {
	const redirects = `table ip nat { chain pre { type nat hook prerouting priority -100; iifname "mid" tcp dport 80 redirect to :3128; }; }`

	It("is not one whose port was hidden, and who has another at the time", func(ctx SpecContext) {
		o, _, neighbour := hiding(redirects)
		server := netip.AddrPortFrom(o.server.Addr(), 8080)
		asked, other, proxy := hears(ctx, o.server, 80), hears(ctx, o.server, 8080), hears(ctx, o.fw, 3128)
		chatter(ctx, neighbour, server)
		for range 3 {
			notReached(ctx, o.client, o.server, web, "was answered by fw, not by server")
		}
		for _, watched := range []bool{false, true} {
			Expect(cellOf(ctx, o.client, o.server, watched, web)).To(Equal("wrong@fw"))
		}
		bare, err := probes.Ask(ctx, o.client, o.server, web)
		Expect(err).NotTo(HaveOccurred())
		Expect(bare).To(And(HaveField("By", BeElementOf("", "fw")), HaveField("Proven", false)))
		Expect(asked.came()).To(BeZero())
		Expect(other.came()).To(BeNumerically(">", 0))
		Expect(proxy.came()).To(BeNumerically(">", 3))

		lift(o.fw)
		Expect(o.client).To(probes.Reach(o.server, patient(web)...).WithContext(ctx))
		Expect(cellOf(ctx, o.client, o.server, false, web)).To(Equal("ok"))
		Expect(asked.came()).To(BeNumerically(">", 0))
	})

	It("is the firewall that was asked, whoever has others", func(ctx SpecContext) {
		o, nat, neighbour := hiding(redirects)
		hears(ctx, o.server, 8080)
		proxy := hears(ctx, o.fw, 3128)
		chatter(ctx, neighbour, netip.AddrPortFrom(o.server.Addr(), 8080))
		for range 3 {
			Expect(cellOf(ctx, nat, o.fw, false, web)).To(Equal("ok"))
			Expect(nat).To(probes.Reach(o.fw, patient(web)...).WithContext(ctx))
		}
		Expect(proxy.came()).To(BeNumerically(">", 3))
	})

	DescribeTable("signs, though a program on the way has it first", func(ctx SpecContext, slow time.Duration) {
		f := newFarm()
		f.rule(bothFamilies(redirected))
		proxy := forwardAfter(ctx, f.fw, 3128, netip.AddrPortFrom(server4, 80), slow)
		for _, how := range []func(context.Context, *harness.Node, probes.Target, probes.Probe) (probes.Result, error){probes.Ask, probes.Watch} {
			result, err := how(ctx, f.client, server4, web.Within(soon))
			Expect(err).NotTo(HaveOccurred())
			Expect(result).To(And(HaveField("By", "server"), HaveField("Proven", true)))
		}
		Expect(f.client).To(probes.Reach(server4, patient(web)...).WithContext(ctx))
		for _, watched := range []bool{false, true} {
			Expect(cellOf(ctx, f.client, f.server, watched, web.Within(soon))).To(Equal("ok"))
		}
		Expect(proxy.came()).To(BeNumerically(">=", 5))
	},
		Entry("at once", time.Duration(0)),
		Entry("after some time", 100*time.Millisecond),
	)
})

// forwardAfter is forward by a program that thinks for a while before.
func forwardAfter(ctx context.Context, node *harness.Node, port uint16, to netip.AddrPort, slow time.Duration) *plain {
	GinkgoHelper()
	p := &plain{}
	listener, err := node.Listen(ctx, "tcp", netip.AddrPortFrom(netip.Addr{}, port))
	Expect(err).NotTo(HaveOccurred())
	var open sync.WaitGroup
	DeferCleanup(func() { _ = listener.Close(); open.Wait() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.note(conn.RemoteAddr().String())
			open.Add(1)
			time.AfterFunc(slow, func() {
				defer open.Done()
				defer conn.Close()
				behind, err := node.Dial(ctx, "tcp", to)
				if err != nil {
					return
				}
				defer behind.Close()
				open.Add(1)
				go func() {
					defer open.Done()
					_, _ = io.Copy(behind, conn)
					_ = behind.Close()
				}()
				_, _ = io.Copy(conn, behind)
			})
		}
	}()
	return p
}
