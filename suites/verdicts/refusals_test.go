package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// mirrored is the site with a second router beside fw: what fw gets for the site goes by r2, and
// a copy of it straight to the site, whose refusals fw drops.
func mirrored(r2 string) *site {
	GinkgoHelper()
	network := topo.New("office")
	lan, wan, side := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24"), network.Wire("side", "10.0.5.0/24")
	network.Host("pc", lan)
	network.Host("site", wan)
	network.Router("fw", lan, wan, side).Nft(`table ip f {
		chain pre { type filter hook prerouting priority -300; iifname "lan" ip daddr 10.0.9.1 dup to 10.0.9.1 device "wan"; }
		chain onward { type filter hook forward priority 0; iifname "wan" counter drop comment "back from the site"; }
	}`)
	network.Router("r2", side, wan).Nft(r2)
	s := (&site{network: network}).up()
	warm(s.node("fw"), site4)
	route(s.node("fw"), 254, "10.0.9.1/32", "side", "10.0.5.2")
	lan4 := netip.MustParsePrefix("10.0.1.0/24")
	Expect(s.node("r2").DelRoute(lan4)).To(Succeed())
	route(s.node("r2"), 254, lan4.String(), "side", "10.0.5.1")
	return s
}

// warm has a node ask once, so that neighbours are known.
func warm(node *harness.Node, to netip.Addr) {
	GinkgoHelper()
	conn, err := node.Dial(GinkgoT().Context(), "udp", netip.AddrPortFrom(to, 9))
	Expect(err).NotTo(HaveOccurred())
	_, err = conn.Write([]byte("hello"))
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.Close()).To(Succeed())
}

var _ = Describe("a refusal is that of the node where the very one began that came back", func() {
	DescribeTable("and not of one that was seen to refuse as well", func(ctx SpecContext, rule string, p probes.Probe) {
		s := mirrored(`table ip f { chain onward { type filter hook forward priority 0; ` + rule + `; }; }`)
		pc, target := s.node("pc"), s.node("site")
		for range 3 {
			result, err := probes.Watch(ctx, pc, target, p.Within(time.Second))
			Expect(err).NotTo(HaveOccurred())
			Expect(result).To(And(HaveField("Outcome", probes.Rejected), HaveField("By", "r2")), "%s\n%s", result, result.Timeline)
			Expect(pc).To(probes.BeRejectedBy("r2", target, p).By("closed").WithContext(ctx))
			Expect(holds(probes.BeRefusedBy(target, p).WithContext(ctx), pc)).To(BeFalse())
		}
	},
		Entry("a reset in the site's name", `tcp dport 81 reject with tcp reset comment "closed"`, probes.TCP(81)),
		Entry("an error", `udp dport 81 reject with icmp port-unreachable comment "closed"`, probes.UDP(81)),
	)

	It("and not the rule that drops a copy there", func(ctx SpecContext) {
		s := ruled(`table ip f {
			chain pre { type filter hook prerouting priority -300; iifname "lan" meta l4proto { tcp, udp } dup to 10.0.9.1 device "wan"; }
			chain post { type filter hook postrouting priority 0; oifname "wan" meta l4proto { tcp, udp } counter drop comment "the copy"; }
		}`)
		for _, p := range []probes.Probe{probes.UDP(81), probes.TCP(81)} {
			result, err := probes.Watch(ctx, s.node("pc"), s.node("fw").On("lan"), p.Within(time.Second))
			Expect(err).NotTo(HaveOccurred())
			Expect(result).To(And(HaveField("Outcome", probes.Refused), HaveField("By", "fw")), "%s\n%s", result, result.Timeline)
			Expect(result.Cause).To(HaveField("Kind", evidence.NoListener), "%s\n%s", result.Cause, result.Timeline)
		}
	})
})
