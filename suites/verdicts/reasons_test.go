package verdicts_test

import (
	"context"
	"net"
	"net/netip"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the reason is told", func() {
	It("of a source that is the router's own, whatever neighbour discovery came to", func(ctx SpecContext) {
		s := planned().up()
		add(s.node("pc"), "lo", "10.0.9.2/32")
		heard := datagrams(s.node("site"), 7, 0)
		notIsolated(ctx, s.node("pc"), s.node("site"), echo.From(netip.MustParseAddr("10.0.9.2")), "not accepted at fw/lan", "10.0.9.2 is the node's own address")
		Expect(heard.heard()).To(BeEmpty())
	})

	It("where Reach is given what was watched", func(ctx SpecContext) {
		s := ruled(drop(`meta l4proto { tcp, udp } drop comment "ban"`))
		for _, p := range []probes.Probe{echo, web} {
			result, err := probes.Watch(ctx, s.node("pc"), s.node("site"), p)
			Expect(err).NotTo(HaveOccurred())
			ok, err := probes.Reach(s.node("site"), p).Match(result)
			Expect(ok).To(BeFalse())
			Expect(err).To(MatchError(And(ContainSubstring("dropped at fw by rule"), ContainSubstring("ban"), Not(ContainSubstring("not known")))))
		}
	})

	It("where a service greets and then resets", func(ctx SpecContext) {
		s := planned().up()
		listener, err := s.node("site").Listen(ctx, "tcp", netip.AddrPortFrom(netip.Addr{}, 25))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(listener.Close)
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("220 site\r\n"))
				_, _ = conn.Read(make([]byte, 64)) // the asker has got the greeting then
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}()
		p := probes.TCP(25).Await("220").Send("EHLO\r\n").Await("250").Within(soon)
		ok, err := probes.Reach(s.node("site"), p).WithContext(ctx).Match(s.node("pc"))
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(And(ContainSubstring("reset the connection"), ContainSubstring("the connection was made"), Not(ContainSubstring("nobody listens")))))
	})

	It("where the asker has no longer the address of its connection", func(ctx SpecContext) {
		s := planned().up()
		probes.Serve(GinkgoTB(), s.node("site"), ssh)
		conn, err := probes.Connect(ctx, s.node("pc"), s.node("site"), ssh)
		Expect(err).NotTo(HaveOccurred())
		take(s.node("pc"), "lan", "10.0.1.1/24")
		add(s.node("pc"), "lan", "10.0.1.50/24")
		const main = 254
		route(s.node("pc"), main, "0.0.0.0/0", "lan", "10.0.1.2")
		result, err := conn.Watch(context.WithoutCancel(ctx))
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(And(HaveField("Cause.Kind", evidence.NoAddress), HaveField("Cause.Node", "pc"),
			HaveField("Cause.Detail", ContainSubstring("10.0.1.1 any more"))), result.GomegaString())
		Expect(s.node("pc")).To(probes.Reach(s.node("site"), ssh).WithContext(ctx)) // a new connection has the new address
	})

	It("of the very rule that depends on the time", func(ctx SpecContext) {
		s := ruled(drop(`meta hour "00:00:00"-"23:59:59" udp dport 7 drop`))
		heard := datagrams(s.node("site"), 7, 0)
		notIsolated(ctx, s.node("pc"), s.node("site"), echo, "but this rule depends on the time")
		Expect(heard.heard()).To(BeEmpty())
	})
})
