package causes_test

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// quiet is a service that reads and says nothing.
const quiet = 5300

// judge is what came to the quiet service, in either family.
type judge chan string

func (o office) judge() judge {
	GinkgoHelper()
	came := make(judge, 99)
	for _, addr := range []netip.Addr{server4, server6} {
		conn, err := o.server.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, quiet))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		go came.read(conn)
	}
	return came
}

func (j judge) read(conn net.PacketConn) {
	text := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(text)
		if err != nil {
			return
		}
		j <- string(text[:n])
	}
}

// datagram is what a plain program sends.
type datagram struct {
	text   string
	port   int // the source port; 0 is any
	option func(fd int) error
}

func option(level, name, value int) func(int) error {
	return func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) }
}

// sends sends it to the quiet service.
func (o office) sends(to netip.Addr, d datagram) {
	GinkgoHelper()
	Expect(o.client.Do(func() error {
		family, at, own := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: quiet, Addr: server4.As4()}), unix.Sockaddr(&unix.SockaddrInet4{Port: d.port})
		if to.Is6() {
			family, at, own = unix.AF_INET6, &unix.SockaddrInet6{Port: quiet, Addr: server6.As16()}, &unix.SockaddrInet6{Port: d.port}
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if d.option != nil {
			if err := d.option(fd); err != nil {
				return err
			}
		}
		if err := unix.Bind(fd, own); err != nil {
			return err
		}
		return unix.Sendto(fd, []byte(d.text), 0, at)
	})).To(Succeed())
}

// A program chooses more of what it sends than a probe varies.
var _ = Describe("a rule about what any program may choose", func() {
	ask := probes.UDP(quiet).Within(silence)
	forward := func(rule string) string {
		return "table inet filter { chain forward { type filter hook forward priority 0; iifname lan udp dport 5300 jump asked; }; chain asked { " + rule + "; }; }"
	}
	nops := func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, "\x01\x01\x01\x01")
	}
	padding := func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00")
	}

	DescribeTable("isolates nobody", func(ctx SpecContext, to netip.Addr, rule, why string, d datagram) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := warm(ctx)
		came := o.judge()
		Expect(o.fw.Nft(forward(rule))).To(Succeed())
		for _, matcher := range []*probes.IsolationMatcher{probes.BeIsolatedFrom(to, ask), probes.BeIsolatedFrom(to, ask).Sampled(3)} {
			if why != "" {
				noVerdict(matcher.WithContext(ctx), o.client, why)
				continue
			}
			// The first source port may be one that is let in: then the opposite is shown.
			notHeld(matcher.WithContext(ctx), o.client, "was delivered at server/dmz", "was last seen at server/dmz")
		}
		for len(came) > 0 {
			<-came
		}

		By("sending it plainly, as the judge")
		d.text = "x"
		o.sends(to, d)
		Eventually(came, soon).Should(Receive(Equal("x")))
	},
		Entry("source ports", server4, "udp sport 1024-65000 drop", "(port 1023)", datagram{port: 1023}),
		Entry("odd source ports", server4, "udp sport & 1 == 1 drop", "", datagram{port: 33334}),
		Entry("even source ports", server4, "udp sport & 1 == 0 drop", "", datagram{port: 33335}),
		Entry("a source port before what drops", server6, "udp sport 53 accept; drop", "(port 53)", datagram{port: 53}),
		Entry("source ports in a map", server6, "udp sport vmap { 53 : accept, 1-52 : drop, 54-65535 : drop }", "(port 53)", datagram{port: 53}),
		Entry("lengths", server4, "udp length > 20 drop", `this rule decides by the packet's length, which any program may choose`, datagram{}),
		Entry("the whole length", server4, "meta length > 40 drop", "by the packet's length", datagram{}),
		Entry("the DSCP", server4, "ip dscp 0 drop", "by the traffic class", datagram{option: option(unix.IPPROTO_IP, unix.IP_TOS, 0x10)}),
		Entry("the ECN", server4, "ip ecn 0 drop", "by the traffic class", datagram{option: option(unix.IPPROTO_IP, unix.IP_TOS, 1)}),
		Entry("what a router makes of the TOS", server4, "meta priority 0 drop", "by the traffic class", datagram{option: option(unix.IPPROTO_IP, unix.IP_TOS, 0x10)}),
		Entry("the traffic class", server6, "ip6 dscp 0 drop", "by the traffic class", datagram{option: option(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0x10)}),
		Entry("the flow label", server6, "ip6 flowlabel != 0 drop", "by the flow label", datagram{option: option(unix.IPPROTO_IPV6, unix.IPV6_AUTOFLOWLABEL, 0)}),
		Entry("the TTL", server4, "ip ttl 63 drop", "by the TTL", datagram{option: option(unix.IPPROTO_IP, unix.IP_TTL, 99)}),
		Entry("a TTL before what drops", server4, "ip ttl > 64 accept; drop", `rule "ip ttl > 64 accept" of inet filter asked decides by the TTL`, datagram{option: option(unix.IPPROTO_IP, unix.IP_TTL, 99)}),
		Entry("the hop limit", server6, "ip6 hoplimit <= 64 drop", "by the TTL", datagram{option: option(unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 99)}),
		Entry("options of IP", server4, "ip hdrlength 5 drop", "by options", datagram{option: nops}),
		Entry("the first header", server6, "ip6 nexthdr { udp, tcp, icmpv6 } drop", "by options or extension headers", datagram{option: padding}),
		Entry("content", server4, "@th,64,16 != 0x7800 udp length > 9 drop", "what is said", datagram{}),
		Entry("a mark by the TTL", server4, "ip ttl 63 meta mark set 7; meta mark 7 drop", "by the TTL", datagram{option: option(unix.IPPROTO_IP, unix.IP_TTL, 99)}),
	)

	It("isolates where it cannot let in", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := warm(ctx)
		came := o.judge()
		for _, rule := range []string{
			"ip dscp 0 counter; drop", "ip ttl < 5 drop; drop", "udp sport 67 udp dport 68 accept; drop", "ip dscp set cs1; drop",
			"udp sport 53 ct state established accept; drop", "udp sport 1024-65535 drop; drop", "ip6 hoplimit 255 icmpv6 type nd-redirect accept; drop",
		} {
			Expect(o.fw.Nft("flush ruleset; " + forward(rule))).To(Succeed())
			Expect(o.client).To(probes.BeIsolatedFrom(o.server, ask).At("fw").WithContext(ctx), rule)
			Expect(o.client).To(probes.BeIsolatedFrom(server4, ask).WithContext(ctx), rule)
			o.sends(server4, datagram{text: "no", port: 53, option: option(unix.IPPROTO_IP, unix.IP_TOS, 0x10)})
		}
		Expect(o.fw.Nft("flush ruleset")).To(Succeed())
		o.sends(server4, datagram{text: "last"})
		Eventually(came, soon).Should(Receive(Equal("last")))
	})

	It("is asked about by a Result of Watch too", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := warm(ctx)
		Expect(o.fw.Nft(forward("udp sport > 1023 drop"))).To(Succeed())
		result, err := probes.Watch(ctx, o.client, server4, ask)
		Expect(err).NotTo(HaveOccurred())
		noVerdict(probes.BeIsolatedFrom(server4, ask), result, "this rule decides by the source port")
	})

	// routes gives the client a rule that leads out, before one that does not.
	routes := func(o office, rule func(*netlink.Rule)) {
		GinkgoHelper()
		out, shut := netlink.NewRule(), netlink.NewRule()
		out.Priority, out.Table, out.Family = 10, unix.RT_TABLE_MAIN, netlink.FAMILY_V4
		rule(out)
		shut.Priority, shut.Dst, shut.Type = 20, prefix(dmz4.String()), unix.FR_ACT_BLACKHOLE
		Expect(o.client.Netlink().RuleAdd(out)).To(Succeed())
		Expect(o.client.Netlink().RuleAdd(shut)).To(Succeed())
	}
	never := func(ctx SpecContext, o office, why string) {
		GinkgoHelper()
		noVerdict(probes.BeIsolatedFrom(server4, ask).WithContext(ctx), o.client, why)
		noVerdict(probes.BeIsolatedFrom(server4).WithContext(ctx), o.client, why)
	}

	It("may be one of policy routing by TOS", func(ctx SpecContext) {
		o := warm(ctx)
		came := o.judge()
		routes(o, func(r *netlink.Rule) { r.Tos = 0x10 })
		never(ctx, o, "decides by the traffic class")
		o.sends(server4, datagram{text: "x", option: option(unix.IPPROTO_IP, unix.IP_TOS, 0x10)})
		Eventually(came, soon).Should(Receive(Equal("x")))
	})

	It("may be one of policy routing by source port", func(ctx SpecContext) {
		o := warm(ctx)
		came := o.judge()
		routes(o, func(r *netlink.Rule) { r.IPProto, r.Sport = unix.IPPROTO_UDP, netlink.NewRulePortRange(1024, 20000) })
		never(ctx, o, "port 1024")
		Eventually(came, soon).Should(Receive())
	})

	It("may be about users", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.Users)
		o := warm(ctx)
		came := o.judge()
		routes(o, func(r *netlink.Rule) { r.UIDRange = netlink.NewRuleUIDRange(1000, 1000) })
		never(ctx, o, "decides by the user that sends")
		o.saysAs(1000, came)

		By("letting another user out by a rule")
		o = warm(ctx)
		came = o.judge()
		Expect(o.client.Nft("table inet f { chain out { type filter hook output priority 0; policy drop; meta skuid 1000 accept; }; }")).To(Succeed())
		noVerdict(probes.BeIsolatedFrom(server4, ask).WithContext(ctx), o.client, `rule "meta skuid 1000 accept" of inet f out decides by the user that sends`)
		o.saysAs(1000, came)
	})
})

// saysAs is a user's datagram.
func (o office) saysAs(uid int, came judge) {
	GinkgoHelper()
	for len(came) > 0 {
		<-came
	}
	Expect(o.client.Do(func() error {
		if err := unix.Setfsuid(uid); err != nil { // whose file it is, his socket is it
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err := errors.Join(err, unix.Setfsuid(0)); err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: server4.As4(), Port: 5300})
	})).To(Succeed())
	Eventually(came, soon).Should(Receive(Equal("x")))
}
