package causes_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pathMTU asks for the MTU of the client's path to an address of the server's.
func (o office) pathMTU(ctx SpecContext, to netip.Addr, p probes.Probe) probes.MTU {
	GinkgoHelper()
	mtu, err := probes.PathMTU(ctx, o.client, to, p.Within(soon))
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("found", mtu.String(), ReportEntryVisibilityFailureOrVerbose)
	return mtu
}

// tells has what is found be so in the end: a kernel in need spares ICMP errors.
func (o office) tells(ctx SpecContext, to netip.Addr, p probes.Probe, is ...OmegaMatcher) {
	GinkgoHelper()
	Eventually(func() probes.MTU { return o.pathMTU(ctx, to, p) }, soon, "1ms").WithContext(ctx).Should(And(is...))
}

// takesOnce says whether a plain datagram of a size, with its IP header, that is not to be fragmented gets from
// the client to a plain socket of the server's: the judge. What the client's kernel has learned it does not ask.
func (o office) takesOnce(ctx SpecContext, to netip.Addr, size int, within time.Duration) bool {
	GinkgoHelper()
	const port, header4, header6 = 82, 28, 48
	conn, err := o.server.ListenPacket(ctx, "udp", netip.AddrPortFrom(to, port))
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(conn.Close()).To(Succeed()) }()
	Expect(o.client.Do(func() error {
		family, level, discover, payload := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, size-header4
		at := unix.Sockaddr(&unix.SockaddrInet4{Port: port, Addr: [4]byte(to.AsSlice())})
		if to.Is6() {
			family, level, discover, payload = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, size-header6
			at = &unix.SockaddrInet6{Port: port, Addr: to.As16()}
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, level, discover, unix.IP_PMTUDISC_PROBE); err != nil {
			return err
		}
		return unix.Sendto(fd, make([]byte, payload), 0, at)
	})).To(Succeed())
	Expect(conn.SetReadDeadline(time.Now().Add(within))).To(Succeed())
	_, _, err = conn.ReadFrom(make([]byte, 2048))
	return err == nil
}

// kernelMTU is what the client's kernel tells a plain socket that its way over IPv6 takes.
func (o office) kernelMTU(to netip.Addr) (mtu int) {
	GinkgoHelper()
	Expect(o.client.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet6{Port: 9, Addr: to.As16()}); err != nil {
			return err
		}
		mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU)
		return err
	})).To(Succeed())
	return mtu
}

// judged says that a size gets there, and a byte more does not.
func (o office) judged(ctx SpecContext, to netip.Addr, bytes int) {
	GinkgoHelper()
	Expect(o.takesOnce(ctx, to, bytes, soon)).To(BeTrue(), "the judge: %d bytes", bytes)
	Expect(o.takesOnce(ctx, to, bytes+1, silence)).To(BeFalse(), "the judge: %d bytes", bytes+1)
}

var _ = Describe("the MTU of a path", func() {
	DescribeTable("is found, and what the asker's kernel has learned", func(ctx SpecContext, to netip.Addr, p probes.Probe) {
		o := warm(ctx)
		Expect(o.pathMTU(ctx, to, p)).To(And(HaveField("Bytes", 1500), HaveField("Kernel", 1500), HaveField("Narrow", BeEmpty()), HaveField("BlackHole()", false)))

		grow := shrink("dmz", o.fw, o.server)
		o.judged(ctx, to, 1280)
		cause := HaveValue(And(HaveField("Kind", evidence.MTU), HaveField("Node", "fw"), HaveField("Interface", "dmz"), HaveField("MTU", 1280)))
		o.tells(ctx, to, p, HaveField("Bytes", 1280), HaveField("Kernel", 1280), HaveField("BlackHole()", false),
			HaveField("Narrow", HaveExactElements(And(HaveField("Outcome", probes.Rejected), HaveField("By", "fw"), HaveField("Cause", cause)))))

		By("asking again when it takes more, as the control")
		grow()
		Expect(o.pathMTU(ctx, to, p)).To(HaveField("Bytes", 1500))
	},
		Entry("by ICMP", server4, icmp),
		Entry("by UDP", server4, dns),
		Entry("by ICMPv6", server6, icmp),
		Entry("by UDP over IPv6", server6, dns),
		Entry("by UDP to nobody", server4, probes.UDP(54)),
	)

	DescribeTable("is found in a black hole, which is told as that, with the rule that makes it", func(ctx SpecContext, to netip.Addr) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := warm(ctx)
		shrink("dmz", o.fw, o.server)
		Expect(o.fw.Nft(`table inet hole { chain c { type filter hook output priority 0;
			icmp type destination-unreachable counter drop comment "no ICMP"; icmpv6 type packet-too-big counter drop comment "no ICMP"; }; }`)).To(Succeed())
		mtu := o.pathMTU(ctx, to, icmp)
		Expect(mtu).To(And(HaveField("Bytes", 1280), HaveField("Kernel", 1500), HaveField("BlackHole()", true)))
		Expect(mtu.String()).To(And(ContainSubstring("1280 bytes; the kernel of client takes it to be 1500: a black hole"), ContainSubstring("was dropped at fw by rule"), ContainSubstring("no ICMP")))
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule's own count")
		o.judged(ctx, to, 1280)

		lift(o.fw)
		o.tells(ctx, to, icmp, HaveField("Bytes", 1280), HaveField("Kernel", 1280), HaveField("BlackHole()", false))
	},
		Entry("over IPv4", server4),
		Entry("over IPv6", server6),
	)

	It("is found by halves where a rule drops what is larger", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := warm(ctx)
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; meta length > 1333 drop comment "too long"; }; }`)).To(Succeed())
		mtu := o.pathMTU(ctx, server4, icmp)
		Expect(mtu).To(And(HaveField("Bytes", 1333), HaveField("BlackHole()", true)))
		Expect(mtu.Narrow).To(HaveExactElements(HaveField("Cause.Rule.Comment", "too long")))
		o.judged(ctx, server4, 1333)
	})

	It("is not learned by a route that is locked, by which routers fragment", func(ctx SpecContext) {
		o, to := warm(ctx), server4
		shrink("dmz", o.fw, o.server)
		route := &netlink.Route{Dst: prefix(hostPrefix(to).String()), Gw: gateways[0].AsSlice(), LinkIndex: link(o.client, "lan").Attrs().Index, MTU: 1400, MTULock: true}
		Expect(o.client.Netlink().RouteAdd(route)).To(Succeed())
		o.tells(ctx, to, icmp, HaveField("Bytes", 1280), HaveField("Kernel", 1400), HaveField("Locked", true), HaveField("BlackHole()", false),
			HaveField("String()", ContainSubstring("takes it to be 1400, which its route has locked")))

		By("sending plainly what the kernel takes it to take, as the judge")
		const port, payload = 82, 1400 - 28
		service, err := o.server.ListenPacket(ctx, "udp", netip.AddrPortFrom(to, port))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(service.Close)
		conn, err := o.client.Dial(ctx, "udp", netip.AddrPortFrom(to, port))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		Expect(conn.Write(make([]byte, payload))).To(Equal(payload))
		Expect(service.SetReadDeadline(time.Now().Add(soon))).To(Succeed())
		n, _, err := service.ReadFrom(make([]byte, 2048))
		Expect(n, err).To(Equal(payload))

		By("taking the lock away, as the control")
		Expect(o.client.Netlink().RouteDel(route)).To(Succeed())
		o.tells(ctx, to, icmp, HaveField("Bytes", 1280), HaveField("Kernel", 1280), HaveField("Locked", false))
	})

	It("is told as the kernel has it where a route of IPv6 is locked, which not every kernel heeds", func(ctx SpecContext) {
		const locked = 1400
		o, to := warm(ctx), server6
		shrink("dmz", o.fw, o.server)
		route := &netlink.Route{Dst: prefix(hostPrefix(to).String()), Gw: gateways[1].AsSlice(), LinkIndex: link(o.client, "lan").Attrs().Index, MTU: locked, MTULock: true}
		Expect(o.client.Netlink().RouteAdd(route)).To(Succeed())
		o.tells(ctx, to, icmp, HaveField("Bytes", 1280), HaveField("BlackHole()", false), HaveField("Narrow", ContainElement(HaveField("Outcome", probes.Rejected))))
		kernel := o.kernelMTU(to)
		Expect(kernel).To(BeElementOf(locked, 1280))
		mtu := o.pathMTU(ctx, to, icmp)
		Expect(mtu).To(And(HaveField("Kernel", kernel), HaveField("Locked", kernel == locked)), "the judge: what a plain socket is told")
		Expect(o.takesOnce(ctx, to, locked, silence)).To(BeFalse(), "the judge: a plain socket")

		By("taking the route away, as the control")
		Expect(o.client.Netlink().RouteDel(route)).To(Succeed())
		o.tells(ctx, to, icmp, HaveField("Bytes", 1280), HaveField("Kernel", 1280), HaveField("Locked", false))
		Expect(o.takesOnce(ctx, to, 1280, soon)).To(BeTrue(), "the judge: a plain socket")
	})

	It("is none where nothing arrives, or where it cannot be asked", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := ruled(atFw, `table inet f { chain c { type filter hook forward priority 0; meta l4proto icmp drop comment "no ping"; }; }`)
		_, err := probes.PathMTU(ctx, o.client, server4, icmp)
		Expect(err).To(MatchError(And(ContainSubstring("nothing arrives, however small"), ContainSubstring("no ping"))))
		for p, want := range map[*probes.Probe]string{
			new(web): "its size cannot be chosen", new(icmp.Size(1000)): "leave Size", new(dns.Fragmented()): "leave Fragmented", new(probes.Probe{}): "asks nothing",
		} {
			_, err := probes.PathMTU(ctx, o.client, server4, *p)
			Expect(err).To(MatchError(ContainSubstring(want)))
		}
	})
})
