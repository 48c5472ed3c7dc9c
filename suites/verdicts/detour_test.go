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

// detour is the office, closed at fw by a policy of table ip f, where a copy that fw sends to 10.0.5.2 gets
// round to site by another router.
func detour(rules string) *site {
	GinkgoHelper()
	network := topo.New("detour")
	lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24")
	side, back := network.Switch("side", "10.0.5.0/24"), network.Switch("back", "10.0.6.0/24")
	network.Host("pc", lan)
	network.Host("site", wan, back.At("10.0.6.9"))
	network.Router("fw", lan, wan, side.At("10.0.5.1")).Nft("table ip f { chain c { type filter hook forward priority 0; policy drop; }; }\n" + rules)
	network.Router("other", side.At("10.0.5.2"), back).Route(topo.Route{To: "10.0.9.1/32", Via: "10.0.6.9"})
	s := (&site{network: network}).up()
	for _, where := range []string{"all", "back"} {
		Expect(s.node("site").SetSysctl("net.ipv4.conf."+where+".rp_filter", "0")).To(Succeed())
	}
	return s
}

// says sends plain datagrams from a node, with the judge's words.
func says(from *harness.Node, source, to netip.AddrPort, times int, text string) {
	GinkgoHelper()
	conn, err := from.ListenPacket(context.Background(), "udp", source)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(conn.Close()).To(Succeed()) }()
	for range times {
		_, err := conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to))
		Expect(err).NotTo(HaveOccurred())
	}
}

var _ = Describe("a copy of some packets", func() {
	const copied = ` dup to 10.0.5.2 device "side"`
	pre := func(match string) string {
		return `table ip m { chain pre { type filter hook prerouting priority -300; iifname "lan" udp dport 53 ` + match + copied + `; }; }`
	}

	DescribeTable("is a leak as one of all would be", func(ctx SpecContext, rules string, from uint16, bytes int) {
		s := detour(rules)
		heard := datagrams(s.node("site"), 53, -1)
		for range 3 {
			notIsolated(ctx, s.node("pc"), s.node("site"), probes.UDP(53).Within(silence))
			notIsolated(ctx, s.node("pc"), site4, probes.UDP(53).Within(silence))
		}
		plain := "x"
		for len(plain) < bytes {
			plain += "x"
		}
		Eventually(func() []string {
			says(s.node("pc"), netip.AddrPortFrom(netip.Addr{}, from), netip.AddrPortFrom(site4, 53), 20, plain)
			return heard.heard()
		}, 5*time.Second, 100*time.Millisecond).Should(ContainElement(plain))
	},
		Entry("numgen in turn", pre("numgen inc mod 5 4"), uint16(0), 1),
		Entry("numgen by chance", pre("numgen random mod 9 7"), uint16(0), 1),
		Entry("a limit", pre("limit rate 1/second burst 1 packets"), uint16(0), 1),
		Entry("a length", pre("udp length < 20"), uint16(0), 1),
		Entry("a length over", pre("meta length > 400"), uint16(0), 500),
		Entry("a source port", pre("udp sport 53"), uint16(53), 1),
		Entry("a quota", pre("quota over 1000 bytes"), uint16(0), 1),
		Entry("a TTL in a jump", `table ip m {
			chain pre { type filter hook prerouting priority -300; iifname "lan" udp dport 53 jump asked; }
			chain asked { udp sport vmap { 53 : goto send }; }
			chain send {`+copied+`; }; }`, uint16(53), 1),
		Entry("a mark that a later rule reads", `table ip m {
			chain pre { type filter hook prerouting priority -300; udp dport 53 numgen random mod 9 7 meta mark set 7; }
			chain next { type filter hook prerouting priority -200; meta mark 7`+copied+`; }; }`, uint16(0), 1),
		Entry("a set that packets fill", `table ip m { set s { type inet_service; flags dynamic; size 65535; }
			chain pre { type filter hook prerouting priority -300; udp dport 53 udp sport @s`+copied+`; udp dport 53 add @s { udp sport }; }; }`, uint16(0), 1),
		Entry("a set that another chain fills", `table ip m { set s { type inet_service; flags dynamic; size 65535; }
			chain pre { type filter hook prerouting priority -300; udp dport 53 udp sport @s`+copied+`; }
			chain late { type filter hook prerouting priority -150; udp dport 53 update @s { udp sport }; }; }`, uint16(0), 1),
		Entry("the rest of a map", `table ip m { chain pre { type filter hook prerouting priority -300; numgen random mod 10 vmap { 0-8 : accept };
			udp dport 53`+copied+`; }; }`, uint16(0), 1),
		Entry("what comes back to a rule by a return", `table ip m {
			chain pre { type filter hook prerouting priority -300; jump most;  udp dport 53`+copied+`; }
			chain most { limit rate over 1/second burst 1 packets return; accept; }; }`, uint16(0), 1),
	)
})
