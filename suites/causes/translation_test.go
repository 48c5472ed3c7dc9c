package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// farm is the office with a second server in the dmz, and with a public address at
// fw that is translated into one of them.
type farm struct {
	office
	other *harness.Node
}

var public4, public6 = netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("fd00:9::9")

func newFarm() farm {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	network := topo.New("farm")
	lan := network.Wire("lan", lan4.String(), lan6.String())
	dmz := network.Switch("dmz", dmz4.String(), dmz6.String())
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	network.Host("other", dmz)
	lab := harness.Up(GinkgoTB(), network)
	f := farm{office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}, lab.Node("other")}
	for _, node := range []*harness.Node{f.server, f.other} {
		probes.Serve(GinkgoTB(), node, web, dns)
	}
	return f
}

// translate turns the public addresses into others.
func (f farm) translate(to4, to6 string) {
	GinkgoHelper()
	Expect(f.fw.Nft(`table inet nat { chain in { type nat hook prerouting priority -100;
		ip daddr ` + public4.String() + ` dnat ip to ` + to4 + `
		ip6 daddr ` + public6.String() + ` dnat ip6 to ` + to6 + `
	}; }`)).To(Succeed())
}

// publics are the public addresses, as targets.
var publics = []netip.Addr{public4, public6}

var _ = Describe("a translated packet", func() {
	It("is followed to the rule that drops it", func(ctx SpecContext) {
		f := newFarm()
		f.translate("10.0.2.1", "fd00:2::1")
		Expect(f.fw.Nft(`table inet filter { chain forward { type filter hook forward priority 0;
			ip daddr 10.0.2.1 meta l4proto { icmp, tcp, udp } drop comment "not to the server"
			ip6 daddr fd00:2::1 icmpv6 type echo-request drop comment "not to the server"
			ip6 daddr fd00:2::1 meta l4proto { tcp, udp } drop comment "not to the server"
		}; }`)).To(Succeed())
		for _, to := range publics {
			isolated(ctx, f.client, to, "fw", evidence.Drop, "not to the server", all...)
		}

		By("taking the rule away, as the control")
		Expect(f.fw.Nft("flush chain inet filter forward")).To(Succeed())
		for _, to := range publics {
			for _, r := range watch(ctx, f.client, to, web, dns) {
				Expect(r).To(And(HaveField("Outcome", probes.Answered), HaveField("By", "server")))
			}
		}
	})

	It("that is answered by the wrong server proves nothing, and says by whom", func(ctx SpecContext) {
		f := newFarm()
		// Meant was the server's port, and its own address is led away.
		Expect(f.fw.Nft(`table inet nat { chain in { type nat hook prerouting priority -100;
			ip daddr 10.0.2.1 dnat ip to 10.0.2.3
			ip6 daddr fd00:2::1 dnat ip6 to fd00:2::3
		}; }`)).To(Succeed())
		for _, r := range watch(ctx, f.client, f.server, all...) {
			Expect(r).To(And(HaveField("Outcome", probes.Answered), HaveField("By", "other"), HaveField("Proven", true)))
			noVerdict(probes.BeIsolatedFrom(f.server), r, "was answered by other")
			noVerdict(probes.Reach(f.server), r, "was answered by other, not by server")
			noVerdict(probes.BeRefusedBy(f.server), r, "was answered by other")
		}

		lift(f.fw)
		for _, r := range watch(ctx, f.client, f.server, all...) {
			Expect(r).To(HaveField("By", "server"))
			Expect(r).NotTo(probes.BeIsolatedFrom(f.server))
		}
	})

	It("is lost without a way for its answer", func(ctx SpecContext) {
		f := newFarm()
		f.translate("10.0.2.1", "fd00:2::1")
		giveBack := takeRoutes(f.server, "0.0.0.0/0", "::/0")
		for _, to := range publics {
			Expect(broken(ctx, f.client, to, "server", evidence.NoRoute, all...)).To(onItsWay(evidence.Answer))
		}

		By("hiding the client's address, as the control")
		Expect(f.fw.Nft(`table inet nat { chain out { type nat hook postrouting priority 100; oifname "dmz" masquerade; }; }`)).To(Succeed())
		for _, to := range publics {
			Expect(f.client).To(probes.Reach(to, patient(all...)...).WithContext(ctx))
		}
		giveBack()
	})

	// The kernel looks for the new route as it translates, and gives up without a word.
	It("that its sender has no route for is not understood", func(ctx SpecContext) {
		f := newFarm()
		Expect(f.client.Nft(`table inet nat { chain out { type nat hook output priority -100;
			ip daddr ` + public4.String() + ` dnat ip to 10.0.2.1
			ip6 daddr ` + public6.String() + ` dnat ip6 to fd00:2::1
		}; }`)).To(Succeed())
		kept := routesOf(f.client)
		takeRoutes(f.client, "0.0.0.0/0", "::/0")
		var toPublic []netlink.Route
		for i, to := range publics {
			toPublic = append(toPublic, netlink.Route{Dst: prefix(hostPrefix(to).String()), Gw: gateways[i].AsSlice()})
		}
		giveRoutes(f.client, toPublic)
		for _, to := range publics {
			inconclusive(ctx, f.client, to, "nothing was seen to leave", dns.Within(silence), web.Within(silence))
		}

		By("having a route, as the control")
		giveRoutes(f.client, kept)
		for _, to := range publics {
			Expect(f.client).To(probes.Reach(to, patient(all...)...).WithContext(ctx))
		}
	})

	It("to an address that nobody has is named", func(ctx SpecContext) {
		f := newFarm()
		f.translate("10.0.2.99", "fd00:2::99")
		for _, to := range publics {
			broken(ctx, f.client, to, "fw", evidence.Neighbour, all...)
		}

		By("leading it to the server, as the control")
		Expect(f.fw.Nft("flush ruleset")).To(Succeed())
		f.translate("10.0.2.1", "fd00:2::1")
		for _, to := range publics {
			Expect(f.client).To(probes.Reach(to, patient(all...)...).WithContext(ctx))
		}
	})
})
