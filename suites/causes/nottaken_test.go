package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// picky makes a socket at a port of a node, in a family, that is set up by option; of a stream
// it listens.
func picky(node *harness.Node, family, kind, port int, option func(fd int) error) (fd int) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		var err error
		if fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
		if err := option(fd); err != nil {
			return err
		}
		at := unix.Sockaddr(&unix.SockaddrInet4{Port: port})
		if family == unix.AF_INET6 {
			at = &unix.SockaddrInet6{Port: port}
		}
		if err := unix.Bind(fd, at); err != nil || kind == unix.SOCK_DGRAM {
			return err
		}
		return unix.Listen(fd, 9)
	})).To(Succeed())
	return fd
}

// droppedBy is what a socket itself says that it has dropped (SO_MEMINFO, SK_MEMINFO_DROPS).
func droppedBy(fd int) uint32 {
	GinkgoHelper()
	numbers, err := unix.GetsockoptTCPInfo(fd, unix.SOL_SOCKET, unix.SO_MEMINFO)
	Expect(err).NotTo(HaveOccurred())
	return numbers.Lost // 32 bytes from the begin, as the ninth of SO_MEMINFO's numbers
}

// signed has a socket take what comes from an address with a signature alone (RFC 2385); without
// a key it takes anything.
func signed(from netip.Addr, key string) func(fd int) error {
	return func(fd int) error {
		s := &unix.TCPMD5Sig{Keylen: uint16(len(key))}
		copy(s.Key[:], key)
		const afterPort, afterFlow = 2, 6 // sockaddr_in, sockaddr_in6
		s.Addr.Family = unix.AF_INET
		at := afterPort
		if from.Is6() {
			s.Addr.Family, at = unix.AF_INET6, afterFlow
		}
		copy(s.Addr.Data[at:], from.AsSlice())
		return unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, s)
	}
}

var _ = Describe("a socket of its own mind", func() {
	none := func(fd int) error {
		refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &refuse})
	}
	all := func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }

	DescribeTable("is named where it drops a request, and does not isolate", func(ctx SpecContext, to netip.Addr, kind int, probe probes.Probe, why string, option, undo func(fd int) error) {
		o := up()
		family := unix.AF_INET
		if to.Is6() {
			family = unix.AF_INET6
		}
		fd := picky(o.server, family, kind, 81, option)
		results := watch(ctx, o.client, to, probe.Within(silence))
		Expect(droppedBy(fd)).To(BeNumerically(">", 0), "the judge: the socket has dropped some")
		for _, r := range results {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NotTaken), HaveField("Node", "server"), HaveField("Policy", false),
				HaveField("Leg", evidence.Request), HaveField("Detail", ContainSubstring(why)))), "%s", causeOf(r))
			Expect(r).To(probes.BeIsolatedFrom(to).At("server").Because(evidence.NotTaken))
			noVerdict(probes.BeIsolatedFrom(to), r, "no policy isolates here", `Because("nottaken")`)
			noVerdict(probes.BeUnansweredBy(to), r, "the request did not arrive")
		}

		By("having it take all, as the control")
		Expect(undo(fd)).To(Succeed())
		if kind == unix.SOCK_STREAM {
			Expect(o.client).To(probes.Reach(to, patient(probe)...).WithContext(ctx))
			return
		}
		for _, r := range watch(ctx, o.client, to, probe) {
			Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.NoAnswer)), "%s", causeOf(r))
		}
	},
		Entry("UDP, by a filter", server4, unix.SOCK_DGRAM, probes.UDP(81), "a filter of its own", none, all),
		Entry("UDP over IPv6, by a filter", server6, unix.SOCK_DGRAM, probes.UDP(81), "a filter of its own", none, all),
		Entry("TCP, by a filter", server4, unix.SOCK_STREAM, probes.TCP(81), "a filter of its own", none, all),
		Entry("TCP over IPv6, by a filter", server6, unix.SOCK_STREAM, probes.TCP(81), "a filter of its own", none, all),
		Entry("TCP, by the TTL", server4, unix.SOCK_STREAM, probes.TCP(81), "IP_MINTTL",
			option(unix.IPPROTO_IP, unix.IP_MINTTL, 255), option(unix.IPPROTO_IP, unix.IP_MINTTL, 0)),
		Entry("TCP, by the hop limit", server6, unix.SOCK_STREAM, probes.TCP(81), "IPV6_MINHOPCOUNT",
			option(unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 255), option(unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 0)),
		Entry("TCP, without a signature", server4, unix.SOCK_STREAM, probes.TCP(81), "TCP_MD5SIG", signed(client4, "secret"), signed(client4, "")),
		Entry("TCP over IPv6, without a signature", server6, unix.SOCK_STREAM, probes.TCP(81), "TCP_MD5SIG", signed(client6, "secret"), signed(client6, "")),
	)

	It("that has no room is named", func(ctx SpecContext) {
		o := up()
		fd := picky(o.server, unix.AF_INET, unix.SOCK_DGRAM, 81, option(unix.SOL_SOCKET, unix.SO_RCVBUF, 1)) // the least that there is
		conn, err := o.client.Dial(ctx, "udp", netip.AddrPortFrom(server4, 81))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		Eventually(func() (uint32, error) {
			_, err := conn.Write(make([]byte, 1000))
			return droppedBy(fd), err
		}, soon, "1ms").Should(BeNumerically(">", 0), "the judge: it is full")
		for _, r := range watch(ctx, o.client, server4, probes.UDP(81).Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NotTaken), HaveField("Detail", HaveSuffix("its receive buffer is full (SO_RCVBUF)")))), "%s", causeOf(r))
		}

		By("reading what is there, as the control")
		for err = nil; err == nil; {
			_, _, err = unix.Recvfrom(fd, make([]byte, 2048), unix.MSG_DONTWAIT)
		}
		Expect(err).To(MatchError(unix.EAGAIN))
		for _, r := range watch(ctx, o.client, server4, probes.UDP(81)) {
			Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.NoAnswer)), "%s", causeOf(r))
		}
	})

	It("does not close another address, for it may take what else is sent there", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := ruled(atFw, `table inet f { chain c { type filter hook forward priority 0; ip daddr 10.0.2.1 drop; ip6 daddr fd00:2::1 drop; }; }`)
		give(o.server, "dmz", "10.0.2.50/24")
		fd := picky(o.server, unix.AF_INET6, unix.SOCK_DGRAM, 81, none)
		noVerdict(probes.BeIsolatedFrom(o.server, probes.UDP(81).Within(silence)).WithContext(ctx), o.client, "server at 10.0.2.50", "the request was not taken at server/dmz")
		Expect(droppedBy(fd)).To(BeNumerically(">", 0), "the judge: what was sent to the other address came to the socket")

		By("dropping that as well, as the control")
		Expect(o.fw.Nft(`add rule inet f c ip daddr 10.0.2.50 drop`)).To(Succeed())
		Expect(o.client).To(probes.BeIsolatedFrom(o.server, probes.UDP(81).Within(silence)).WithContext(ctx))
	})
})
