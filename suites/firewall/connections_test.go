package firewall_test

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// banning is what a program adds that bans who failed too often: after what tracks connections.
const banning = `table inet filter {
	chain banned { }
	chain forward {
		type filter hook forward priority 0; policy accept;
		` + established + `
		jump banned
	}
}`

var _ = Describe("a ban", func() {
	DescribeTable("is for new connections, and for others once they are forgotten", func(ctx SpecContext, p probes.Probe) {
		o := up(banning)
		probes.Serve(GinkgoTB(), o.inet, web, dns)
		plain := dialEcho(ctx, o)
		conn, err := probes.Connect(ctx, o.desk, o.inet, p)
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.Watch(ctx)).To(probes.Reach(o.inet, p))
		Expect(plain("before", soon)).To(Succeed())

		Expect(o.fw.Nft(`add rule inet filter banned drop comment "banned"`)).To(Succeed())
		Expect(o.desk).To(probes.BeIsolatedFrom(o.inet, p).At("fw").By("banned").WithContext(ctx))
		Expect(conn.Watch(ctx)).To(probes.Reach(o.inet, p), "it was there before")
		Expect(plain("banned", soon)).To(Succeed())

		By("forgetting the connections, as the control")
		Expect(o.fw.Netlink().ConntrackTableFlush(netlink.ConntrackTable)).To(Succeed())
		Expect(conn.Watch(ctx)).To(probes.BeIsolatedFrom(o.inet, p).At("fw").By("banned"))
		Expect(plain("forgotten", time.Second)).To(MatchError(ContainSubstring("i/o timeout")))

		By("lifting the ban")
		Expect(o.fw.Nft("flush chain inet filter banned")).To(Succeed())
		Expect(conn.Watch(ctx)).To(probes.Reach(o.inet, p))
	},
		Entry("TCP", web),
		Entry("UDP", dns),
		Entry("ICMP", probes.ICMP().Within(soon)),
	)
})

// dialEcho is the judge: a plain connection from the desk to a service that says again what it
// is told. It returns what says something over it.
func dialEcho(ctx SpecContext, o office) func(string, time.Duration) error {
	GinkgoHelper()
	listener, err := o.inet.Listen(ctx, "tcp", netip.MustParseAddrPort("0.0.0.0:7"))
	Expect(err).NotTo(HaveOccurred())
	over, end := context.WithCancel(context.Background())
	var echoing sync.WaitGroup
	DeferCleanup(func() {
		end() // the asker's own end may never be heard of
		Expect(listener.Close()).To(Succeed())
		echoing.Wait()
	})
	echoing.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer context.AfterFunc(over, func() { _ = conn.Close() })()
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	})
	conn, err := o.desk.Dial(ctx, "tcp", netip.AddrPortFrom(ipv4Of(o.inet), 7))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return func(text string, bound time.Duration) error {
		if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, len(text)))
		return err
	}
}

// ipv4Of is a node's IPv4 address.
func ipv4Of(node *harness.Node) netip.Addr {
	GinkgoHelper()
	for _, addr := range node.Addrs() {
		if addr.Is4() {
			return addr
		}
	}
	Fail(node.Name() + " has no IPv4 address")
	return netip.Addr{}
}
