package verdicts_test

import (
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// join puts a node into a group at its interface lan, as long as the spec runs: a plain socket.
func join(node *harness.Node, group netip.Addr) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		link, err := net.InterfaceByName("lan")
		if err != nil {
			return err
		}
		domain := unix.AF_INET
		if group.Is6() {
			domain = unix.AF_INET6
		}
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
		if group.Is6() {
			return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(link.Index)})
		}
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(link.Index)})
	})).To(Succeed())
}

// deaf is why a node did not hear.
func deaf(node, why string) OmegaMatcher {
	return And(HaveField("Node", node), HaveField("Why", ContainSubstring(why)))
}

// hears asks who hears a probe that pc sends.
func hears(ctx SpecContext, s *site, to string, p probes.Probe) probes.Audience {
	GinkgoHelper()
	heard, err := probes.WhoHears(ctx, s.node("pc"), "lan", netip.MustParseAddr(to), p.Within(silence))
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("heard", heard.String(), ReportEntryVisibilityFailureOrVerbose)
	return heard
}

var _ = Describe("who hears what is sent to all on a link", func() {
	DescribeTable("is told, and of the others why not", func(ctx SpecContext, network, to, rule string) {
		s := neighbours(input(rule + ` drop comment "not that"`))
		services := map[string]*service{}
		for _, name := range []string{"peer", "third", "guarded"} {
			services[name] = wildcard(s.node(name), network, 7)
		}
		heard := hears(ctx, s, to, echo)
		Expect(heard.Nodes()).To(ConsistOf("third"))
		Expect(heard.Missed).To(ConsistOf(
			And(deaf("peer", "dropped at peer by rule"), HaveField("Rule.Comment", "not that"), HaveField("At", "peer")),
			deaf("guarded", "dropped at guarded by policy drop of inet f input"),
		))
		Eventually(services["third"].heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		for _, name := range []string{"peer", "guarded"} {
			Expect(services[name].heard()).To(BeEmpty(), "the judge")
		}
		closed := hears(ctx, s, to, probes.UDP(9))
		Expect(closed.Nodes()).To(BeEmpty())
		Expect(closed.Missed).To(ContainElement(deaf("third", "nobody there has port 9")))
	},
		Entry("everybody", "udp4", "255.255.255.255", "ip daddr 255.255.255.255"),
		Entry("the subnet", "udp4", "10.0.1.255", "ip daddr 10.0.1.255"),
		Entry("all hosts", "udp4", "224.0.0.1", "meta pkttype multicast ip daddr 224.0.0.1"),
		Entry("all nodes", "udp6", "ff02::1", "ip6 daddr ff02::1 udp dport 7-9"),
	)

	DescribeTable("is told as a plain socket has it, whatever rules there make of it", func(ctx SpecContext, rule, network, to string, port int, why string) {
		text := ""
		if rule != "" {
			text = "table ip n {\nchain pre {\ntype nat hook prerouting priority -100\n" + rule + "\n}\n}"
		}
		s := neighbours(text)
		judge := wildcard(s.node("peer"), network, uint16(port))
		heard := hears(ctx, s, to, echo)
		if why == "" {
			Expect(heard.Nodes()).To(ConsistOf("peer"))
			Eventually(judge.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
			return
		}
		Expect(heard.Nodes()).To(BeEmpty())
		Expect(heard.Missed).To(ContainElement(deaf("peer", why)))
		Expect(judge.heard()).To(BeEmpty(), "the judge")
	},
		Entry("who listens where it is redirected to", "udp dport 7 redirect to :8", "udp4", "10.0.1.255", 8, ""),
		Entry("who listens where it is redirected from", "udp dport 7 redirect to :8", "udp4", "10.0.1.255", 7, "nobody there has port 8"),
		Entry("who listens where it is sent on from", "udp dport 7 dnat to 10.0.1.3", "udp4", "10.0.1.255", 7, "gives it another destination"),
		Entry("who is not meant by that", "udp dport 9 dnat to 10.0.1.3", "udp4", "10.0.1.255", 7, ""),
		Entry("a socket of both families, of a group that it did not join", "", "udp", "224.0.0.1", 7, "only if it joins that group"),
	)

	It("is told of who has a copy of another's", func(ctx SpecContext) {
		s := neighbours("table ip d {\nchain pre {\ntype filter hook prerouting priority -300\nudp dport 7 dup to 10.0.1.3\n}\n}")
		judge := wildcard(s.node("third"), "udp4", 7)
		Expect(hears(ctx, s, "10.0.1.255", echo).Nodes()).To(ConsistOf("third"))
		Eventually(judge.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
	})

	DescribeTable("is told of a group, whoever joined it", func(ctx SpecContext, network, to string) {
		s := neighbours("table inet f { }")
		services := map[string]*service{}
		for _, name := range []string{"peer", "third"} {
			services[name] = wildcard(s.node(name), network, 7)
		}
		group := netip.MustParseAddr(to)
		join(s.node("peer"), group)
		heard := hears(ctx, s, to, echo)
		Expect(heard.Nodes()).To(ConsistOf("peer"))
		Expect(heard.Missed).To(ContainElement(deaf("third", "it is not in the group "+to+" at lan")))
		Eventually(services["peer"].heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		Expect(services["third"].heard()).To(BeEmpty(), "the judge")
		By("the other joining as well")
		join(s.node("third"), group)
		Expect(hears(ctx, s, to, echo).Nodes()).To(ConsistOf("peer", "third"))
		Eventually(services["third"].heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		Expect(s.node("third").Port("lan").Down()).To(Succeed())
		Expect(hears(ctx, s, to, echo).Missed).To(ContainElement(HaveField("Node", "third")))
	},
		Entry("of IPv4", "udp4", "239.1.2.3"),
		Entry("of IPv6", "udp6", "ff02::abcd"),
	)

	It("is told of those who answer, and of a rule of the asker's own", func(ctx SpecContext) {
		s := neighbours("table inet f { }")
		conn, err := s.node("peer").ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.Addr{}, 7))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		go func() {
			for buf := make([]byte, 2048); ; {
				n, from, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = conn.WriteTo(buf[:n], from)
			}
		}()
		Expect(hears(ctx, s, "10.0.1.255", echo).Heard).To(ConsistOf(And(HaveField("Node", "peer"), HaveField("Answered", true), HaveField("Interface", "lan"))))
		Expect(s.node("pc").Nft(`table inet f { chain c { type filter hook output priority 0; ip daddr 10.0.1.255 drop comment "mute"; }; }`)).To(Succeed())
		heard := hears(ctx, s, "10.0.1.255", echo)
		Expect(heard.Nodes()).To(BeEmpty())
		Expect(heard.Missed).To(ContainElement(And(deaf("peer", "dropped at pc by rule"), HaveField("Rule.Comment", "mute"))))
	})

	It("is told past a node that bridges, and of its rule", func(ctx SpecContext) {
		s := &site{network: topo.New("bridged")}
		s.lan = s.network.Switch("lan", "10.0.1.0/24")
		cable := s.network.Wire("cable")
		s.network.Host("pc", s.lan)
		s.network.Host("bridge", s.lan.NoAddress(), cable.NoAddress()).Bridge("br", s.lan, cable)
		s.network.Host("far", cable)
		s.up()
		service := wildcard(s.node("far"), "udp4", 7)
		Expect(hears(ctx, s, "255.255.255.255", echo).Nodes()).To(ConsistOf("far"))
		Eventually(service.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		read := len(service.heard())
		Expect(s.node("bridge").Nft(`table bridge f { chain c { type filter hook forward priority 0; ip daddr 255.255.255.255 drop comment "quiet"; }; }`)).To(Succeed())
		heard := hears(ctx, s, "255.255.255.255", echo)
		Expect(heard.Nodes()).To(BeEmpty())
		Expect(heard.Missed).To(ContainElement(And(deaf("far", "dropped at bridge by rule"), HaveField("Rule.Comment", "quiet"))))
		Expect(service.heard()).To(HaveLen(read), "the judge")
	})

	It("is told of a bridge that snoops, and does not know of who joined", func(ctx SpecContext) {
		s := &site{network: topo.New("snooping")}
		s.lan = s.network.Switch("lan", "10.0.1.0/24")
		cable := s.network.Wire("cable")
		s.network.Host("pc", s.lan)
		s.network.Host("bridge", s.lan.NoAddress(), cable.NoAddress()).Bridge("br", s.lan, cable)
		s.network.Host("far", cable.As("lan")).Nft(`table ip f { chain c { type filter hook output priority 0; ip protocol igmp drop; }; }`)
		s.up()
		service := wildcard(s.node("far"), "udp4", 7)
		group := netip.MustParseAddr("239.1.2.3")
		join(s.node("far"), group)
		Expect(hears(ctx, s, group.String(), echo).Nodes()).To(ConsistOf("far"), "without a querier all is flooded")
		Eventually(service.heard).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		querier := s.node("bridge").CommandContext(ctx, "sh", "-c", "cd /sys/class/net/br/bridge && echo 1 > multicast_query_response_interval && echo 1 > multicast_querier")
		Expect(querier.Run()).To(Succeed())
		var heard probes.Audience
		Eventually(func() []string { // once it has asked who is there
			heard = hears(ctx, s, group.String(), echo)
			return heard.Nodes()
		}).WithTimeout(20 * time.Second).Should(BeEmpty())
		Expect(heard.Missed).To(ContainElement(And(deaf("far", "it did not come to it: bridge does multicast snooping"), HaveField("At", "bridge"))))
		read := len(service.heard())
		Expect(hears(ctx, s, group.String(), echo).Nodes()).To(BeEmpty())
		Expect(service.heard()).To(HaveLen(read), "the judge")
	})

	It("is asked with datagrams alone, of an address for several on that link", func(ctx SpecContext) {
		s := neighbours("table inet f { }")
		for _, wrong := range []struct {
			link, to, want string
			p              probes.Probe
		}{
			{"lan", "10.0.1.2", "it is no group, nor a broadcast address of that link", echo},
			{"lan", "10.0.9.255", "it is no group, nor a broadcast address of that link", echo},
			{"lan", "224.0.0.1", "only datagrams are for several: use UDP or UDPLite", web},
			{"dmz", "224.0.0.1", "node pc has no such interface", echo},
			{"lan", "224.0.0.1", `FromInterface("lo") is another`, echo.FromInterface("lo")},
		} {
			_, err := probes.WhoHears(ctx, s.node("pc"), wrong.link, netip.MustParseAddr(wrong.to), wrong.p)
			Expect(err).To(MatchError(ContainSubstring(wrong.want)))
		}
	})
})
