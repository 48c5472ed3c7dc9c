package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// saysWith sends one plain datagram with an option of its socket.
func saysWith(from *harness.Node, to netip.AddrPort, text string, level, option, value int) {
	GinkgoHelper()
	Expect(from.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
			return err
		}
		return unix.Sendto(fd, []byte(text), 0, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	})).To(Succeed())
}

var _ = Describe("a rule about the TTL", func() {
	brief := probes.UDP(7).Within(silence)
	// guarded has a site that lets in by a rule what comes to it, from pc behind fw, and from a neighbour.
	guarded := func(rule string) *site {
		GinkgoHelper()
		network := topo.New("guarded")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24")
		network.Host("pc", lan)
		network.Host("site", wan).Nft(`table inet f { chain input { type filter hook input priority 0; policy drop; ` + rule + `; }; }`)
		network.Router("fw", lan, wan)
		network.Host("neighbour", wan)
		return (&site{network: network}).up()
	}

	DescribeTable("does not let in what no program can have there", func(ctx SpecContext, rule string, most int) {
		s := guarded(rule)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		Expect(pc).To(probes.BeIsolatedFrom(site, brief.Within(soon), icmp, ssh).At("site").WithContext(ctx))
		Expect(pc).To(probes.BeIsolatedFrom(site4, brief.Within(soon)).At("site").WithContext(ctx))
		saysWith(pc, netip.AddrPortFrom(site4, 7), "far", unix.IPPROTO_IP, unix.IP_TTL, 255)

		By("asking from the same link, where one can")
		notIsolated(ctx, s.node("neighbour"), site4, brief)
		saysWith(s.node("neighbour"), netip.AddrPortFrom(site4, 7), "near", unix.IPPROTO_IP, unix.IP_TTL, most)
		Eventually(heard.heard, time.Second).Should(ContainElement("near"))
		Expect(heard.heard()).NotTo(ContainElement("far"))
	},
		Entry("GTSM", "ip ttl 255 accept", 255),
		Entry("as a set", "ip ttl { 255 } accept", 255),
		Entry("as a range", "ip ttl 255-255 accept", 255),
		Entry("by a jump", "udp dport 7 jump x; }; chain x { ip ttl > 254 accept", 255),
		Entry("by a map", "ip ttl vmap { 255 : accept, 0-254 : drop }", 255),
		Entry("by a mark", "ip ttl 255 meta mark set 7; meta mark 7 accept", 255),
	)

	DescribeTable("lets in what a program can have there", func(ctx SpecContext, rule string, ttl int) {
		s := guarded(rule)
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		notIsolated(ctx, pc, site, brief)
		saysWith(pc, netip.AddrPortFrom(site4, 7), "far", unix.IPPROTO_IP, unix.IP_TTL, ttl)
		Eventually(heard.heard, time.Second).Should(ContainElement("far"))
	},
		Entry("the highest", "ip ttl 254 accept", 255),
		Entry("or more", "ip ttl >= 254 accept", 255),
		Entry("some", "ip ttl 100 accept", 101),
		Entry("the lowest", "ip ttl 1 accept", 2),
	)

	It("in forward sees what the router has taken from it", func(ctx SpecContext) {
		for rule, ttl := range map[string]int{"ip ttl 255 accept": 0, "ip ttl 254 accept": 255} {
			s := ruled("table inet f { chain forward { type filter hook forward priority 0; policy drop; " + rule + "; }; }")
			pc, site := s.node("pc"), s.node("site")
			heard := datagrams(site, 7, -1)
			if ttl == 0 {
				Expect(pc).To(probes.BeIsolatedFrom(site, brief.Within(soon)).At("fw").WithContext(ctx))
				saysWith(pc, netip.AddrPortFrom(site4, 7), "far", unix.IPPROTO_IP, unix.IP_TTL, 255)
				saysWith(pc, netip.AddrPortFrom(site4, 7), "far", unix.IPPROTO_IP, unix.IP_TTL, 254)
				Consistently(heard.heard, silence).Should(BeEmpty())
				continue
			}
			notIsolated(ctx, pc, site, brief)
			saysWith(pc, netip.AddrPortFrom(site4, 7), "far", unix.IPPROTO_IP, unix.IP_TTL, ttl)
			Eventually(heard.heard, time.Second).Should(ContainElement("far"))
		}
	})

	It("counts where a rule on the way sets it", func(ctx SpecContext) {
		s := guarded("ip ttl 255 accept")
		pc, site := s.node("pc"), s.node("site")
		heard := datagrams(site, 7, -1)
		Expect(s.node("fw").Nft(`table ip f { chain c { type filter hook postrouting priority 0; ip ttl 99 ip ttl set 255; }; }`)).To(Succeed())
		notIsolated(ctx, pc, site, brief)
		saysWith(pc, netip.AddrPortFrom(site4, 7), "far", unix.IPPROTO_IP, unix.IP_TTL, 100)
		Eventually(heard.heard, time.Second).Should(ContainElement("far"))
	})
})
