package machines_test

import (
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// busy is by how much a machine that does much else may be late: to look at a timer, and to send.
const busy = 1500 * time.Millisecond

// outage is how long nothing from a node came to another while f broke a way and waited for the next.
func outage(ctx SpecContext, from, to *harness.Node, f func()) probes.Span {
	GinkgoHelper()
	const every = 2 * time.Millisecond
	flows, err := probes.Stream(ctx, from, to.On("dmz"), probes.UDP(53).Within(time.Second), every, func() error { f(); return nil })
	Expect(err).NotTo(HaveOccurred())
	Expect(flows).To(HaveLen(1))
	closed := flows[0].Closed()
	Expect(closed.Packets).NotTo(BeZero(), "nothing was lost: %s", flows[0])
	Expect(closed.Cut).To(BeFalse(), "it had not ended: %s", flows[0])
	AddReportEntry("outage", closed.String())
	return closed
}

var _ = Describe("a failover", func() {
	It("of keepalived takes as long as VRRP waits for a master", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Unpacked("keepalived"), harness.OwnProc, harness.Overlay)
		network := topo.New("failover")
		lan, dmz := network.Switch("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24")
		network.Host("client", lan).NoRoutes()
		network.Router("one", lan, dmz)
		network.Router("two", lan, dmz)
		network.Host("server", dmz)
		lab := harness.Up(GinkgoTB(), network)
		client, one, two := lab.Node("client"), lab.Node("one"), lab.Node("two")
		const interval = time.Second // as RFC 5798 has it, where nothing is said
		vrrp(interval, one, two)
		sh(client, `ip route add default via `+virtual)
		Eventually(who(client, virtual), patience).Should(Equal("one"))

		closed := outage(ctx, client, lab.Node("server"), func() {
			Expect(one.Port("lan").Down()).To(Succeed())
			Eventually(who(client, virtual), patience, "10ms").Should(Equal("two"))
		})
		// RFC 5798, 6.1: three intervals, and the skew of a priority of 100; the last advertisement
		// was heard up to an interval before.
		const waits = 3*interval + interval*(256-100)/256
		Expect(closed.AtMost).To(BeNumerically(">", waits-interval-busy), closed.String())
		Expect(closed.AtLeast).To(BeNumerically("<", waits+busy), closed.String())
	})

	It("of FRR takes as long as BGP holds a session with one who is silent", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Unpacked("frr"), harness.Users, harness.OwnProc, harness.Overlay, harness.NftTool)
		client, server, routers := triangle()
		bgp(routers)
		Eventually(learned(routers), patience, "50ms").Should(ContainSubstring("via 10.1.2.2 dev w12 "))
		spare := func() string { return sh(routers[0], `vtysh -c 'show ip bgp 10.0.2.0/24'`) }
		Eventually(spare, patience, "50ms").Should(ContainSubstring("10.1.3.2"))

		closed := outage(ctx, client, server, func() {
			for _, router := range routers[:2] { // the link stays up
				Expect(router.Nft(`table inet cut { chain in { type filter hook prerouting priority -300; iifname "w12" drop; }; }`)).To(Succeed())
			}
			Eventually(learned(routers), patience, "50ms").Should(ContainSubstring("via 10.1.3.2 dev w13 "))
			named(server, 80)
			Eventually(func() string { return strings.TrimSpace(sh(routers[1], `ip route get 10.0.1.1`)) }, patience, "50ms").Should(ContainSubstring("dev w32"))
			Eventually(who(client, server.Addr().String()), patience, "10ms").Should(Equal("server"))
		})
		// RFC 4271, 4.4 and 6.5: the hold time, since the last keepalive, of which there is one a second.
		const hold, keepalive = 3 * time.Second, time.Second
		Expect(closed.AtMost).To(BeNumerically(">", hold-keepalive-busy), closed.String())
		Expect(closed.AtLeast).To(BeNumerically("<", hold+busy), closed.String())
	})
})
