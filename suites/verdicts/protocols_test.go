package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// rawly sends a packet of an IP protocol by a plain raw socket from pc to site, and says whether
// a raw socket there reads it.
func rawly(s *site, protocol int, packet []byte) (arrived bool) {
	GinkgoHelper()
	in := rawSocket(s.node("site"), protocol)
	out := rawSocket(s.node("pc"), protocol)
	Expect(unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: int64(silence / time.Microsecond)})).To(Succeed())
	Expect(unix.Sendto(out, packet, 0, &unix.SockaddrInet4{Addr: site4.As4()})).To(Succeed())
	_, _, err := unix.Recvfrom(in, make([]byte, 2048), 0)
	return err == nil
}

func rawSocket(node *harness.Node, protocol int) (fd int) {
	GinkgoHelper()
	Expect(node.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	})).To(Succeed())
	DeferCleanup(func() { _ = unix.Close(fd) })
	return fd
}

var _ = Describe("a bare check asks with other protocols", func() {
	DescribeTable("where a rule lets one in", func(ctx SpecContext, protocol int, rules string) {
		s := ruled(rules)
		Expect(holds(probes.BeIsolatedFrom(s.node("site")).WithContext(ctx), s.node("pc"))).To(BeFalse())
		Expect(rawly(s, protocol, make([]byte, 40))).To(BeTrue(), "the judge")
	},
		Entry("by name", 47, dropping(`meta l4proto gre accept`)),
		Entry("by number", 132, dropping(`ip protocol 132 accept`)),
		Entry("of a set", 50, dropping(`ip protocol { esp, sctp } accept`)),
		Entry("that it does not name", 253, dropping(`meta l4proto != { tcp, udp, icmp } accept`)),
		Entry("as others are dropped", 253, drop(`meta l4proto { tcp, udp, icmp } drop`)),
		Entry("by a map", 253, drop(`ip protocol vmap { tcp : drop, udp : drop, icmp : drop }`)),
		Entry("as all ports are dropped", 253, drop(`tcp dport 0-65535 drop; udp dport 0-65535 drop; icmp type echo-request drop`)),
		Entry("by a range", 89, drop(`ip protocol 0-88 drop; ip protocol 90-255 drop`)),
		Entry("behind a jump", 47, dropping(`meta l4proto gre jump deeper`, `chain deeper { accept; }`)),
		Entry("by a port of SCTP", 132, dropping(`sctp dport 0 accept; sctp dport 99 accept`)),
	)

	It("and with another type of ICMP", func(ctx SpecContext) {
		s := ruled(drop(`icmp type echo-request drop; meta l4proto != icmp drop`))
		Expect(holds(probes.BeIsolatedFrom(s.node("site")).WithContext(ctx), s.node("pc"))).To(BeFalse())
		request := make([]byte, 20)
		request[0], request[2], request[3] = 13, 0xf2, 0xff
		Expect(rawly(s, unix.IPPROTO_ICMP, request)).To(BeTrue(), "the judge")
	})

	It("and does not take for refused what a raw socket reads, or the kernel", func(ctx SpecContext) {
		s := ruled(drop(`ip daddr 10.0.9.1 ip protocol 78 drop comment "closed"`))
		pc, site := s.node("pc"), s.node("site")
		Expect(site.AddAddr("wan", netip.MustParsePrefix("10.0.9.77/24"))).To(Succeed())
		const igmp = 2
		for protocol, to := range map[uint8]probes.Target{77: site4, igmp: site4, 78: site} {
			var in int
			if protocol != igmp { // which each kernel speaks
				in = rawSocket(site, int(protocol))
			}
			p := probes.Protocol(protocol).Within(silence)
			Expect(holds(probes.BeIsolatedFrom(to, p).Because(evidence.NoListener, evidence.Drop).WithContext(ctx), pc)).To(BeFalse(), "%s", p)
			Expect(holds(probes.BeIsolatedFrom(to, p).WithContext(ctx), pc)).To(BeFalse(), "%s", p)
			if protocol != igmp {
				_, _, err := unix.Recvfrom(in, make([]byte, 2048), unix.MSG_DONTWAIT)
				Expect(err).NotTo(HaveOccurred(), "the judge")
			}
		}
		Expect(pc).To(probes.BeIsolatedFrom(site4, probes.Protocol(78)).By("closed").WithContext(ctx))
		Expect(holds(probes.BeIsolatedFrom(site4, probes.Protocol(79).Within(silence)).Because(evidence.NoListener).WithContext(ctx), pc)).To(BeTrue(), "nobody has it")
	})

	It("and holds where all are closed, or one is meant to be open", func(ctx SpecContext) {
		s := ruled(dropping(`iifname "wan" accept`))
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site")).At("fw").WithContext(ctx))
		Expect(rawly(s, 253, make([]byte, 40))).To(BeFalse(), "the judge")
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), probes.Protocol(47)).At("fw").WithContext(ctx))
	})
})
