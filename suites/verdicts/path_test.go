package verdicts_test

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// threeRouters are pc - first - second - third - site.
func threeRouters() *harness.Lab {
	GinkgoHelper()
	network := topo.New("three")
	var links []*topo.Segment
	for _, link := range [][3]string{{"lan", "10.0.1.0/24", "fd00:1::/64"}, {"one", "10.0.2.0/24", "fd00:2::/64"}, {"two", "10.0.3.0/24", "fd00:3::/64"}, {"wan", "10.0.9.0/24", "fd00:9::/64"}} {
		links = append(links, network.Switch(link[0], link[1], link[2]))
	}
	network.Host("pc", links[0])
	network.Host("site", links[3])
	for i, name := range []string{"first", "second", "third"} {
		network.Router(name, links[i], links[i+1])
	}
	lab := harness.Up(GinkgoTB(), network)
	probes.Serve(GinkgoTB(), lab.Node("site"), probes.TCP(80))
	return lab
}

// offender is whose ICMP error comes back for a datagram with a TTL, as a plain socket's error
// queue has it: the judge.
func offender(node *harness.Node, to netip.Addr, ttl int) (from netip.Addr) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		family, level, hops, receive := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TTL, unix.IP_RECVERR
		var at unix.Sockaddr
		if to.Is4() {
			at = &unix.SockaddrInet4{Port: 33434, Addr: to.As4()}
		} else {
			family, level, hops, receive = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_RECVERR
			at = &unix.SockaddrInet6{Port: 33434, Addr: to.As16()}
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for name, value := range map[int]int{hops: ttl, receive: 1} {
			if err := unix.SetsockoptInt(fd, level, name, value); err != nil {
				return err
			}
		}
		if err := unix.Sendto(fd, []byte("who?"), 0, at); err != nil {
			return err
		}
		for err = unix.EINTR; err == unix.EINTR; {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, int(soon.Milliseconds()))
		}
		if err != nil {
			return err
		}
		control := make([]byte, 512)
		_, n, _, _, err := unix.Recvmsg(fd, make([]byte, 64), control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return err
		}
		messages, err := unix.ParseSocketControlMessage(control[:n])
		const extended, address4, address6 = 16, 4, 8 // struct sock_extended_err; its offender's address
		for _, m := range messages {
			if data := m.Data[extended:]; int(binary.NativeEndian.Uint16(data)) == unix.AF_INET {
				from = netip.AddrFrom4([4]byte(data[address4:]))
			} else {
				from = netip.AddrFrom16([16]byte(data[address6:]))
			}
		}
		return err
	})).To(Succeed())
	return from
}

var _ = Describe("the path of a probe", func() {
	site6 := netip.MustParseAddr("fd00:9::1")

	DescribeTable("is all who hand it on, and the target", func(ctx SpecContext, to netip.Addr, p probes.Probe, routers ...string) {
		lab := threeRouters()
		trace, err := probes.Path(ctx, lab.Node("pc"), to, p.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(trace.Nodes()).To(Equal([]string{"first", "second", "third", "site"}), trace.String())
		Expect(trace.Reached).To(BeTrue())
		for i, router := range routers {
			hop := trace.Hops[i]
			Expect(hop).To(And(HaveField("TTL", i+1), HaveField("Addr", netip.MustParseAddr(router)), HaveField("Expired", true)), trace.String())
			Expect(hop.Addr).To(Equal(offender(lab.Node("pc"), to, i+1)), "the judge: a plain socket's errors")
		}
		last := trace.Hops[len(routers)]
		Expect(last).To(And(HaveField("Node", "site"), HaveField("Expired", false), HaveField("Result.Outcome", BeElementOf(probes.Answered, probes.Refused))))
	},
		Entry("ICMP", site4, icmp, "10.0.1.2", "10.0.2.2", "10.0.3.2"),
		Entry("ICMPv6", site6, icmp, "fd00:1::2", "fd00:2::2", "fd00:3::2"),
		Entry("UDP, where nobody has the port", site4, probes.UDP(33434), "10.0.1.2", "10.0.2.2", "10.0.3.2"),
		Entry("UDP over IPv6", site6, probes.UDP(33434), "fd00:1::2", "fd00:2::2", "fd00:3::2"),
		Entry("TCP", site4, probes.TCP(80), "10.0.1.2", "10.0.2.2", "10.0.3.2"),
		Entry("TCP over IPv6", site6, probes.TCP(80), "fd00:1::2", "fd00:2::2", "fd00:3::2"),
	)

	DescribeTable("ends where a rule ends it, by name", func(ctx SpecContext, verdict string, kind evidence.Kind, p probes.Probe) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := threeRouters()
		Expect(lab.Node("second").Nft(`table inet f { chain c { type filter hook forward priority 0; iifname "one" counter ` + verdict + ` comment "no further"; }; }`)).To(Succeed())
		trace, err := probes.Path(ctx, lab.Node("pc"), lab.Node("site"), p.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(trace.Nodes()).To(Equal([]string{"first", "second", "second"}), trace.String())
		Expect(trace.Reached).To(BeFalse())
		Expect(trace.Cause).To(HaveValue(And(HaveField("Kind", kind), HaveField("Node", "second"), HaveField("Rule.Comment", "no further"))))
		Expect(trace.String()).To(HaveSuffix(`no further")`))
		counted, err := lab.Node("second").Command("nft", "list", "ruleset").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(counted)).To(ContainSubstring("counter packets 1 "), "the judge: the rule has seen the one that did not expire")
	},
		Entry("dropped", "drop", evidence.Drop, icmp),
		Entry("rejected", "reject with icmpx type admin-prohibited", evidence.Reject, probes.UDP(33434)),
		Entry("reset", "meta l4proto tcp reject with tcp reset", evidence.Reject, probes.TCP(80)),
	)

	It("goes on past one that says nothing, and tells who that is", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := threeRouters()
		Expect(lab.Node("second").Nft(`table inet f { chain c { type filter hook output priority 0; icmp type time-exceeded counter drop; }; }`)).To(Succeed())
		trace, err := probes.Path(ctx, lab.Node("pc"), site4, icmp.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(trace.Nodes()).To(Equal([]string{"first", "second", "third", "site"}), trace.String())
		Expect(trace.Hops[1]).To(And(HaveField("Expired", true), HaveField("Addr", netip.Addr{}), HaveField("Result.Outcome", probes.Silent)))
		Expect(strings.Split(trace.String(), "\n")[2]).To(Equal(" 2  second, whose ICMP error did not come back"))
		Expect(trace.Reached).To(BeTrue())
	})

	It("is the detour that a route takes, and has no end in a circle but the last TTL", func(ctx SpecContext) {
		lab := threeRouters()
		// What second is to hand on leads back to first, and from there to second again.
		out, err := lab.Node("second").Command("ip", "route", "replace", "10.0.9.0/24", "via", "10.0.2.1").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		trace, err := probes.Path(ctx, lab.Node("pc"), site4, icmp.Within(soon))
		Expect(err).NotTo(HaveOccurred())
		Expect(trace.Hops).To(HaveLen(30))
		Expect(trace.Nodes()[:4]).To(Equal([]string{"first", "second", "first", "second"}), trace.String())
		Expect(trace.Reached).To(BeFalse())
	})

	It("is an error where it cannot be asked for", func(ctx SpecContext) {
		lab := threeRouters()
		pc := lab.Node("pc")
		_, err := probes.Path(ctx, pc, site4, icmp.TTL(3))
		Expect(err).To(MatchError(ContainSubstring("a TTL of its own")))
		_, err = probes.Path(ctx, pc, site4, probes.Probe{})
		Expect(err).To(MatchError(ContainSubstring("the zero Probe asks nothing")))
		_, err = probes.Path(ctx, nil, site4, icmp)
		Expect(err).To(HaveOccurred())
	})
})
