package causes_test

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

const (
	mutePort = 81  // a plain socket of UDP-Lite has it, which reads and says nothing
	fromLite = 533 // the asker's port, where one is chosen
)

var lite = probes.UDPLite(53)

// liteOffice is the office with UDP-Lite served at port 53 of the server.
func liteOffice() office {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.UDPLite, harness.NftTool)
	o := up()
	probes.Serve(GinkgoTB(), o.server, lite)
	return o
}

// plainLite makes a plain socket of UDP-Lite at a node, bound to an address and port.
func plainLite(node *harness.Node, at netip.AddrPort) (fd int) {
	GinkgoHelper()
	family, own := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port()), Addr: [4]byte(at.Addr().AsSlice())})
	if at.Addr().Is6() {
		family, own = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	Expect(node.Do(func() (err error) {
		if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE); err != nil {
			return err
		}
		DeferCleanup(unix.Close, fd)
		return unix.Bind(fd, own)
	})).To(Succeed())
	return fd
}

// toMute is a plain socket of the client's, at a port (0 is any) that sends to the server's mute port.
func (o office) toMute(to netip.Addr, from uint16) (fd int) {
	GinkgoHelper()
	at, own := unix.Sockaddr(&unix.SockaddrInet4{Port: mutePort, Addr: server4.As4()}), client4
	if to.Is6() {
		at, own = &unix.SockaddrInet6{Port: mutePort, Addr: server6.As16()}, client6
	}
	fd = plainLite(o.client, netip.AddrPortFrom(own, from))
	Expect(unix.Connect(fd, at)).To(Succeed())
	Expect(unix.Send(fd, []byte("plain"), 0)).To(Succeed())
	return fd
}

// refuses says that a plain socket is told so that sends to the server's mute port, which it does
// again until then: a kernel in need spares ICMP errors. It is the judge.
func (o office) refuses(ctx SpecContext, to netip.Addr) {
	GinkgoHelper()
	fd := o.toMute(to, 0)
	Eventually(func() error {
		if err := unix.Send(fd, []byte("plain"), 0); err != nil {
			return err // to what was sent before
		}
		_, _, err := unix.Recvfrom(fd, make([]byte, 2048), unix.MSG_DONTWAIT)
		return err
	}, soon, "10ms").WithContext(ctx).Should(MatchError(unix.ECONNREFUSED))
}

// asked has an expectation of a watched probe hold in the end: see refuses.
func (o office) asked(ctx SpecContext, p probes.Probe, is OmegaMatcher) {
	GinkgoHelper()
	Eventually(probes.Watch).WithContext(ctx).WithArguments(o.client, o.server, p).WithTimeout(soon).Should(is)
}

// delivers sends a plain datagram of UDP-Lite to the mute socket of the server's, from a port (0 is
// any), and says whether that reads it in time: the judge.
func (o office) delivers(socket int, to netip.Addr, from uint16, within time.Duration) bool {
	GinkgoHelper()
	for buf := make([]byte, 2048); ; { // of the probes before
		if _, _, err := unix.Recvfrom(socket, buf, unix.MSG_DONTWAIT); err != nil {
			break
		}
	}
	o.toMute(to, from)
	Expect(unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, new(unix.NsecToTimeval(within.Nanoseconds())))).To(Succeed())
	_, _, err := unix.Recvfrom(socket, make([]byte, 2048), 0)
	return err == nil
}

var _ = Describe("UDP-Lite", func() {
	It("is asked as UDP is, and is another protocol", func(ctx SpecContext) {
		o := liteOffice()
		o.reaches(ctx, lite, lite.Size(1000), lite.FromPort(fromLite))
		r, err := probes.Ask(ctx, o.client, o.server, lite.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(And(HaveField("Outcome", probes.Answered), HaveField("Proven", true), HaveField("By", "server")))

		By("asking at ports that only the other protocol has")
		probes.Serve(GinkgoTB(), o.server, probes.UDP(54), probes.UDPLite(55))
		for _, p := range []probes.Probe{probes.UDPLite(54), probes.UDP(55)} {
			broken(ctx, o.client, o.server, "server", evidence.NoListener, p)
			o.asked(ctx, p, probes.BeRefusedBy(o.server))
		}
		o.reaches(ctx, probes.UDP(54), probes.UDPLite(55))
	})

	DescribeTable("is refused by a port that nobody has there, which is no isolation", func(ctx SpecContext, to netip.Addr) {
		o := liteOffice()
		for _, r := range broken(ctx, o.client, to, "server", evidence.NoListener, probes.UDPLite(mutePort)) {
			Expect(r.Cause.Detail).To(Equal("nobody has port 81"))
		}
		o.refuses(ctx, to)

		By("having the port at the loopback alone")
		loopback := map[bool]string{false: "127.0.0.1", true: "::1"}[to.Is6()]
		plainLite(o.server, netip.AddrPortFrom(netip.MustParseAddr(loopback), mutePort))
		for _, r := range broken(ctx, o.client, to, "server", evidence.NoListener, probes.UDPLite(mutePort)) {
			Expect(r.Cause.Detail).To(Equal("port 81 listens at " + loopback + " only"))
		}
		o.refuses(ctx, to)
	},
		Entry("over IPv4", server4),
		Entry("over IPv6", server6),
	)

	DescribeTable("is stopped by rules that are about it, which are named", func(ctx SpecContext, rule, by string) {
		o := liteOffice()
		sockets := map[netip.Addr]int{}
		for _, to := range []netip.Addr{server4, server6} {
			sockets[to] = plainLite(o.server, netip.AddrPortFrom(to, mutePort))
			Expect(o.delivers(sockets[to], to, 0, soon)).To(BeTrue(), "the judge's control")
		}
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; ` + rule + ` }; }`)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, by, probes.UDPLite(mutePort))
		Expect(o.client).To(probes.BeIsolatedFrom(o.server, probes.UDPLite(mutePort)).At("fw").By(by).WithContext(ctx))
		for to, socket := range sockets {
			Expect(o.delivers(socket, to, 0, silence)).To(BeFalse(), "the judge")
		}
		o.reaches(ctx, dns) // of UDP

		lift(o.fw)
		o.reaches(ctx, lite)
	},
		Entry("by the protocol", `meta l4proto udplite drop;`, "meta l4proto udplite drop"),
		Entry("by the port", `udplite dport 81 drop;`, "udplite dport 81 drop"),
		Entry("by any protocol's port", `meta l4proto { udplite, dccp } th dport 81 drop comment "no 81";`, "no 81"),
		Entry("by what is not named", `meta l4proto { tcp, udp, icmp, icmpv6 } accept; drop comment "no others";`, "no others"),
	)

	It("is not stopped by rules about UDP", func(ctx SpecContext) {
		o := liteOffice()
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; meta l4proto udp drop; }; }`)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "meta l4proto udp drop", dns)
		o.reaches(ctx, lite)
		notHeld(probes.BeIsolatedFrom(o.server, lite.Within(soon)).WithContext(ctx), o.client, "server was reached")
	})

	DescribeTable("is stopped by rules of iptables", func(ctx SpecContext, program string, to netip.Addr, args ...string) {
		o := liteOffice()
		harness.Require(GinkgoTB(), harness.Tool(program))
		o.iptables(program, append([]string{"-A", "FORWARD", "-p", "udplite", "-m", "comment", "--comment", "no lite", "-j", "DROP"}, args...)...)
		isolated(ctx, o.client, to, "fw", evidence.Drop, "no lite", lite)
		o.reaches(ctx, dns)

		By("taking the rule away, as the control")
		o.iptables(program, "-F", "FORWARD")
		o.reaches(ctx, lite)
	},
		Entry("by the protocol", "iptables-nft", server4),
		Entry("by the protocol, of IPv6", "ip6tables-nft", server6),
		Entry("by the port", "iptables-nft", server4, "-m", "multiport", "--dports", "53"),
		Entry("by the protocol, of the old tables", "iptables-legacy", server4),
		Entry("by the port, of the old tables", "ip6tables-legacy", server6, "-m", "multiport", "--dports", "53"),
	)

	It("is rejected by name, and by ICMP", func(ctx SpecContext) {
		o := liteOffice()
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; meta l4proto udplite reject comment "say no"; }; }`)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Reject, "say no", lite)
		o.asked(ctx, lite, probes.BeRejectedBy("fw", o.server).By("say no"))
	})

	It("arrives where its answer alone is stopped, or where nothing answers", func(ctx SpecContext) {
		o := liteOffice()
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; udplite sport 53 drop comment "no answers"; }; }`)).To(Succeed())
		Expect(o.client).To(probes.BeUnansweredBy(o.server, lite).At("fw").By("no answers").WithContext(ctx))
		lift(o.fw)
		for _, to := range []netip.Addr{server4, server6} {
			plainLite(o.server, netip.AddrPortFrom(to, mutePort))
			for _, r := range watch(ctx, o.client, to, probes.UDPLite(mutePort).Within(silence)) {
				Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NoAnswer), HaveField("Detail", HavePrefix("udplite/81 has a listener")))), "%s", causeOf(r))
				notHeld(probes.BeIsolatedFrom(to), r, "")
			}
		}
	})

	DescribeTable("is asked by a check without probes, where a rule names it", func(ctx SpecContext, from uint16, rule string) {
		o := liteOffice()
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; policy drop; ` + rule + ` }; }`)).To(Succeed())
		notHeld(probes.BeIsolatedFrom(server4).WithContext(ctx), o.client, "udplite")
		Expect(o.delivers(plainLite(o.server, netip.AddrPortFrom(server4, mutePort)), server4, from, soon)).To(BeTrue(), "the judge")
	},
		Entry("by the protocol", uint16(0), `meta l4proto udplite accept;`),
		Entry("by the port", uint16(0), `udplite dport 81 accept;`),
		Entry("by the asker's port", uint16(fromLite), `udplite sport 533 accept;`),
	)

	It("is no isolation where another port of the asker's would pass", func(ctx SpecContext) {
		o := liteOffice()
		Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; policy drop; udplite sport 533 accept; }; }`)).To(Succeed())
		noVerdict(probes.BeIsolatedFrom(server4, probes.UDPLite(mutePort).Within(silence)).WithContext(ctx), o.client)
		Expect(o.client).To(probes.BeIsolatedFrom(server4, probes.UDPLite(mutePort).FromPort(fromLite+1)).At("fw").WithContext(ctx))
		socket := plainLite(o.server, netip.AddrPortFrom(server4, mutePort))
		Expect(o.delivers(socket, server4, fromLite, soon)).To(BeTrue(), "the judge")
		Expect(o.delivers(socket, server4, fromLite+1, silence)).To(BeFalse(), "the judge")
	})

	It("is taken for invalid by connection tracking as it is, and is followed where it is translated", func(ctx SpecContext) {
		o := liteOffice()
		Expect(o.fw.Nft(`table ip n {
			chain f { type filter hook prerouting priority 0; ct state invalid counter drop comment "not valid"; };
			chain c { type nat hook prerouting priority dstnat; udplite dport 5300 dnat to 10.0.2.1:53 comment "to the server"; }; }`)).To(Succeed())
		to, p := o.fw.On("lan").Addrs()[0], probes.UDPLite(5300)
		Expect(o.client).To(probes.BeIsolatedFrom(to, p).At("fw").By("not valid").WithContext(ctx))
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule's own count")

		By("having it take checksums for right")
		Expect(o.fw.SetSysctl("net.netfilter.nf_conntrack_checksum", "0")).To(Succeed())
		Expect(o.client).To(probes.Reach(to, patient(p)...).AnsweredBy("server").TranslatedBy("fw", "to the server").WithContext(ctx))
	})
})
