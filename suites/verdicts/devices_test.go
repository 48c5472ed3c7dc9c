package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sending is what a plain socket sends to, and how.
type sending struct {
	to     netip.AddrPort
	source netip.AddrPort // bound; the zero one is the kernel's choice
	device string         // bound to; "" is none
	before func(fd int) error
}

// send sends a datagram by a plain socket.
func (s sending) send(node *harness.Node) {
	GinkgoHelper()
	domain, address := unix.AF_INET, func(a netip.AddrPort) unix.Sockaddr {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	if s.to.Addr().Is6() {
		domain = unix.AF_INET6
		address = func(a netip.AddrPort) unix.Sockaddr {
			return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
		}
	}
	Expect(node.Do(func() error {
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if s.device != "" {
			if err := unix.BindToDevice(fd, s.device); err != nil {
				return err
			}
		}
		if s.before != nil {
			if err := s.before(fd); err != nil {
				return err
			}
		}
		if s.source.IsValid() {
			if err := unix.Bind(fd, address(s.source)); err != nil {
				return err
			}
		}
		return unix.Sendto(fd, []byte("plain"), 0, address(s.to))
	})).To(Succeed())
}

// twoWays is the office where pc is on a second link as well, side, 10.0.5.0/24, and r2,
// which nothing closes, joins that to wan. pc's routes lead by fw, which drops.
func twoWays() *site {
	GinkgoHelper()
	s := &site{network: topo.New("two-ways")}
	s.lan, s.wan = s.network.Switch("lan", "10.0.1.0/24"), s.network.Switch("wan", "10.0.9.0/24")
	side := s.network.Switch("side", "10.0.5.0/24")
	s.pc, s.site = s.network.Host("pc", s.lan, side).NoRoutes(), s.network.Host("site", s.wan)
	s.fw = s.network.Router("fw", s.lan, s.wan).Nft(drop(`iifname "lan" drop comment "closed"`))
	s.network.Router("r2", side, s.wan)
	s.pc.Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.1.2"})
	return s
}

var _ = Describe("the route that the kernel takes is not the only one", func() {
	arrives := func(s *site, heard *service, how sending) {
		GinkgoHelper()
		how.to = netip.AddrPortFrom(site4, 7)
		how.send(s.node("pc"))
		Eventually(func() int { return len(plain(heard)) }).WithTimeout(5*time.Second).Should(BeNumerically(">", 0), "the judge")
	}

	DescribeTable("as a socket may be bound to a device", func(ctx SpecContext, prepare func(*site)) {
		s := twoWays().up()
		pc, site := s.node("pc"), s.node("site")
		prepare(s)
		heard := datagrams(site, 7, -1)
		arrives(s, heard, sending{device: "side"})
		for _, p := range []probes.Probe{icmp, echo, web} {
			notIsolated(ctx, pc, site, p, "side")
		}
		Expect(holds(probes.BeIsolatedFrom(site).WithContext(ctx), pc)).To(BeFalse(), "without probes")
	},
		Entry("that has a route of a higher metric", func(s *site) { metric(s.node("pc"), "10.0.9.0/24", "side", "10.0.5.2", 20) }),
		Entry("that a rule of policy routing has a table for", func(s *site) {
			route(s.node("pc"), 200, "10.0.9.0/24", "side", "10.0.5.2")
			rule := netlink.NewRule()
			rule.OifName, rule.Table = "side", 200
			Expect(s.node("pc").Netlink().RuleAdd(rule)).To(Succeed())
		}),
		Entry("that has no route, where a router answers for all", func(s *site) {
			Expect(s.node("r2").SetSysctl("net.ipv4.conf.side.proxy_arp", "1")).To(Succeed())
		}),
	)

	It("nor the source address that the other device has", func(ctx SpecContext) {
		s := twoWays().up()
		pc, site := s.node("pc"), s.node("site")
		metric(pc, "10.0.9.0/24", "side", "10.0.5.2", 20)
		Expect(s.node("r2").Nft(drop(`ip saddr 10.0.5.1 drop comment "closed"`))).To(Succeed())
		heard := datagrams(site, 7, -1)
		arrives(s, heard, sending{device: "side", source: netip.MustParseAddrPort("10.0.1.1:0")})
		notIsolated(ctx, pc, site, echo, "side")
	})

	DescribeTable("nor does a route of IPv6 that rejects keep a bound socket", func(ctx SpecContext, route ...string) {
		harness.Require(GinkgoTB(), harness.IPv6)
		network := topo.New("reject")
		lan, wan := network.Switch("lan", "fd00:1::/64"), network.Switch("wan", "fd00:9::/64")
		network.Host("pc", lan)
		network.Host("site", wan)
		network.Router("fw", lan, wan)
		s := (&site{network: network}).up()
		pc, target := s.node("pc"), netip.MustParseAddr("fd00:9::1")
		out, err := pc.Command("ip", append([]string{"-6", "route", "add"}, route...)...).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		heard := datagrams(s.node("site"), 7, -1)
		sending{to: netip.AddrPortFrom(target, 7), device: "lan"}.send(pc)
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).Should(HaveLen(1), "the judge")
		notIsolated(ctx, pc, s.node("site"), echo, "bound to lan")
		Expect(holds(probes.BeIsolatedFrom(target).WithContext(ctx), pc)).To(BeFalse(), "without probes")
	},
		Entry("blackhole", "blackhole", "fd00:9::1/128"),
		Entry("prohibit", "prohibit", "fd00:9::/72"),
		Entry("unreachable", "unreachable", "fd00:9::/72"),
	)

	It("and where each is closed, it holds", func(ctx SpecContext) {
		s := twoWays().up()
		pc, site := s.node("pc"), s.node("site")
		metric(pc, "10.0.9.0/24", "side", "10.0.5.2", 20)
		Expect(s.node("r2").Nft(drop(`iifname "side" drop comment "closed too"`))).To(Succeed())
		heard := datagrams(site, 7, -1)
		Expect(pc).To(probes.BeIsolatedFrom(site, icmp, echo, web).At("fw").By("closed").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty())
	})
})

// plain are what plain sockets sent, and no probe.
func plain(s *service) (said []string) {
	for _, text := range s.heard() {
		if text == "plain" {
			said = append(said, text)
		}
	}
	return said
}

// metric gives a node a route with a metric.
func metric(node *harness.Node, to, device, via string, metric int) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().RouteAdd(&netlink.Route{
		Dst: mustCIDR(to), LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr(via).AsSlice(), Priority: metric,
	})).To(Succeed())
}
