package verdicts_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// said asks a plain connection, and returns what comes in time; "" when nothing does.
func said(conn net.Conn, text string, within time.Duration) string {
	GinkgoHelper()
	_, _ = conn.Write([]byte(text)) // an ICMP error of what was said before is told here
	Expect(conn.SetReadDeadline(time.Now().Add(within))).To(Succeed())
	buf := make([]byte, 64)
	for {
		n, err := conn.Read(buf)
		if err == nil {
			return string(buf[:n])
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return ""
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			return err.Error()
		}
	}
}

var _ = Describe("an ICMP error about a connection that is made", func() {
	DescribeTable("says who turns it back, and is no end of it", func(ctx SpecContext, words bool, stop, lift func(s *site)) {
		s := planned().up()
		p := ssh.Within(soon)
		if words {
			echoes(s.node("site"), 22)
			p = p.Send("hello\n").Await("hello\n")
		} else {
			probes.Serve(GinkgoTB(), s.node("site"), ssh)
		}
		echoes(s.node("site"), 23)
		conn, err := probes.Connect(ctx, s.node("pc"), s.node("site"), p)
		Expect(err).NotTo(HaveOccurred())
		plain, err := s.node("pc").Dial(ctx, "tcp", netip.AddrPortFrom(site4, 23))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(plain.Close)
		Expect(said(plain, "one", soon)).To(Equal("one"))

		stop(s)
		for range 2 {
			result, err := conn.Ask(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(result.Outcome).To(Equal(probes.Rejected), result.String())
			result, err = conn.Watch(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(result).To(And(HaveField("Outcome", probes.Rejected), HaveField("By", "fw"), HaveField("Cause.Node", "fw"), HaveField("Cause.Kind", Not(Equal(evidence.Unknown)))), result.GomegaString())
		}
		Expect(said(plain, "two", silence)).To(BeEmpty())

		lift(s)
		Eventually(func() (probes.Result, error) { return conn.Watch(ctx) }).WithTimeout(soon).Should(HaveField("Outcome", probes.Answered))
		Eventually(func() string { return said(plain, "", silence) }).WithTimeout(soon).Should(Equal("two"))
	},
		Entry("an unreachable route, words", true, unreachable, reachable),
		Entry("an unreachable route, signed", false, unreachable, reachable),
		Entry("no route", true, func(s *site) { Expect(s.node("fw").Netlink().RouteDel(toSite(s))).To(Succeed()) },
			func(s *site) { Expect(s.node("fw").Netlink().RouteAdd(toSite(s))).To(Succeed()) }),
		Entry("a rule", true, func(s *site) {
			Expect(s.node("fw").Nft(`table ip f { chain c { type filter hook forward priority 0; iifname "lan" reject; }; }`)).To(Succeed())
		}, func(s *site) { Expect(s.node("fw").Nft(`delete table ip f`)).To(Succeed()) }),
	)

	It("has not left where the asker has no way for it itself", func(ctx SpecContext) {
		s := planned().up()
		echoes(s.node("site"), 22)
		conn, err := probes.Connect(ctx, s.node("pc"), s.node("site"), ssh.Send("hello\n").Await("hello\n"))
		Expect(err).NotTo(HaveOccurred())
		Expect(s.node("pc").Nft(`table ip o { chain o { type filter hook output priority 0; tcp dport 22 drop; }; }`)).To(Succeed())
		result, err := conn.Ask(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Outcome).NotTo(Equal(probes.Rejected), result.String())
	})
})

// toSite is fw's route to site's segment.
func toSite(s *site) *netlink.Route {
	GinkgoHelper()
	link, err := s.node("fw").Netlink().LinkByName("wan")
	Expect(err).NotTo(HaveOccurred())
	return &netlink.Route{Dst: mustCIDR("10.0.9.0/24"), LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK}
}

func unreachable(s *site) {
	Expect(s.node("fw").Netlink().RouteAdd(&netlink.Route{Dst: mustCIDR("10.0.9.1/32"), Type: unix.RTN_UNREACHABLE})).To(Succeed())
}

func reachable(s *site) {
	Expect(s.node("fw").Netlink().RouteDel(&netlink.Route{Dst: mustCIDR("10.0.9.1/32"), Type: unix.RTN_UNREACHABLE})).To(Succeed())
}

var _ = Describe("a listener that waits for data before it takes a connection", func() {
	It("is named, and answers to words", func(ctx SpecContext) {
		s := planned().up()
		deferred := func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_DEFER_ACCEPT, 600) }
		heard := echoes(s.node("site"), 80, deferred)

		for range 2 {
			ok, err := probes.Reach(s.node("site"), web).WithContext(ctx).Match(s.node("pc"))
			Expect(ok).To(BeFalse())
			Expect(err).To(MatchError(And(ContainSubstring("TCP_DEFER_ACCEPT"), ContainSubstring("say words"), Not(ContainSubstring("did not hear it")))))
		}
		result, err := probes.Ask(ctx, s.node("pc"), s.node("site"), web)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.String()).To(ContainSubstring("site waits for data"))
		Expect(heard.accepted()).To(BeZero())

		words := web.Send("GET\n").Await("GET\n").Within(soon)
		Expect(holds(probes.Reach(s.node("site"), words).WithContext(ctx), s.node("pc"))).To(BeTrue())
		Expect(probes.Ask(ctx, s.node("pc"), s.node("site"), words)).To(HaveField("By", "site"))
		Expect(heard.heard()).To(HaveEach("GET\n"))
		plain, err := s.node("pc").Dial(ctx, "tcp", netip.AddrPortFrom(site4, 80))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(plain.Close)
		Expect(said(plain, "plain", soon)).To(Equal("plain"))
	})

	It("is not taken for one whose last packet of the handshake is dropped", func(ctx SpecContext) {
		s := ruled(drop(`tcp dport 80 tcp flags & (syn|ack) == ack drop`))
		heard := echoes(s.node("site"), 80)
		ok, err := probes.Reach(s.node("site"), web).WithContext(ctx).Match(s.node("pc"))
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(Not(ContainSubstring("TCP_DEFER_ACCEPT"))))
		Expect(heard.accepted()).To(BeZero())
	})
})
