package verdicts_test

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// comesBack asks by a plain socket until an answer comes back, every 20 ms: by chance most do not.
func comesBack(from *harness.Node, to netip.AddrPort) {
	GinkgoHelper()
	conn, err := from.ListenPacket(context.Background(), "udp", netip.AddrPort{})
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(conn.Close()).To(Succeed()) }()
	Eventually(func() error {
		if _, err := conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(to)); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return err
		}
		_, _, err := conn.ReadFrom(make([]byte, 99))
		return err
	}, 5*time.Second).Should(Succeed())
}

var _ = Describe("a copy of the answer", func() {
	// around is the office where fw lets no answer in, and a copy of one may get round to pc by another router.
	around := func(rules string) *site {
		GinkgoHelper()
		network := topo.New("around")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24")
		side, back := network.Switch("side", "10.0.5.0/24"), network.Switch("back", "10.0.6.0/24")
		network.Host("pc", lan, back.At("10.0.6.9"))
		network.Host("site", wan)
		network.Router("fw", lan, wan, side.At("10.0.5.1")).Nft(`table ip f { chain c { type filter hook forward priority 0; iifname "wan" drop; }; }` + "\n" + rules)
		network.Router("other", side.At("10.0.5.2"), back).Route(topo.Route{To: "10.0.1.1/32", Via: "10.0.6.9"})
		s := (&site{network: network}).up()
		for _, where := range []string{"all", "back"} {
			Expect(s.node("pc").SetSysctl("net.ipv4.conf."+where+".rp_filter", "0")).To(Succeed())
		}
		return s
	}
	pre := func(match string) string {
		return `table ip m { chain pre { type filter hook prerouting priority -300; iifname "wan" ` + match + ` dup to 10.0.5.2 device "side"; }; }`
	}

	DescribeTable("that waits may come back later", func(ctx SpecContext, at, device string, asked ...probes.Probe) {
		s := around(pre(""))
		pc, site, deaf := s.node("pc"), s.node("site"), s.node(at)
		datagrams(site, 7, 0)
		link, err := deaf.Netlink().LinkByName(device)
		Expect(err).NotTo(HaveOccurred())
		Expect(deaf.Netlink().LinkSetARPOff(link)).To(Succeed())
		forget(s.node("fw"), "side", netip.MustParseAddr("10.0.5.2")) // what it was told before
		forget(s.node("other"), "back", netip.MustParseAddr("10.0.6.9"))
		for _, p := range asked {
			matcher := probes.BeUnansweredBy(site4, p.Within(silence)).WithContext(ctx)
			ok, err := matcher.Match(pc)
			Expect(ok).To(BeFalse(), "unanswered: %s", p)
			Expect(err).To(HaveOccurred(), "%s", matcher.FailureMessage(pc))
		}
		Expect(deaf.Netlink().LinkSetARPOn(link)).To(Succeed())
		comesBack(pc, netip.AddrPortFrom(site4, 7))
	},
		Entry("for the router", "other", "side", echo, icmp),
		Entry("for the asker", "pc", "back", echo, icmp),
	)

	DescribeTable("of some may come back another time", func(ctx SpecContext, match string) {
		s := around(pre(match))
		pc, site := s.node("pc"), s.node("site")
		datagrams(site, 7, 0)
		for range 3 {
			Expect(holds(probes.BeUnansweredBy(site4, echo.Within(silence)).WithContext(ctx), pc)).To(BeFalse())
		}
		comesBack(pc, netip.AddrPortFrom(site4, 7))
	},
		Entry("in turn", "numgen inc mod 5 4"),
		Entry("by chance", "numgen random mod 9 7"),
		Entry("by a limit", "limit rate 2/second burst 1 packets"),
	)

	It("and where none is made, or it dies too, the answer's end is named", func(ctx SpecContext) {
		for _, rules := range []string{"", pre("") + "\ntable ip g { chain out { type filter hook output priority 0; oifname side drop; }; }", pre("udp sport 9")} {
			s := around(rules)
			datagrams(s.node("site"), 7, 0)
			Expect(s.node("pc")).To(probes.BeUnansweredBy(site4, echo, icmp).At("fw").WithContext(ctx), rules)
		}
	})
})
