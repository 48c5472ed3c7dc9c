package causes_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// roundabout is an office with two routers: what the client sends goes over alt,
// and what it gets comes over fw.
func roundabout(rules string) office {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	network := topo.New("roundabout")
	lan := network.Switch("lan", lan4.String(), lan6.String())
	dmz := network.Switch("dmz", dmz4.String(), dmz6.String())
	network.Host("client", lan).NoRoutes().Route(topo.Route{To: "default", Via: "10.0.1.3"}, topo.Route{To: "default", Via: "fd00:1::3"})
	network.Host("server", dmz)
	network.Router("fw", lan, dmz).Nft(rules)
	network.Router("alt", lan, dmz)
	lab := harness.Up(GinkgoTB(), network)
	o := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
	probes.Serve(GinkgoTB(), o.server, web, dns)
	return o
}

var _ = Describe("an asymmetric route", func() {
	passed := func(node string) OmegaMatcher {
		return HaveEach(HaveField("Timeline", ContainElement(And(HaveField("Node", node), HaveField("Role", evidence.Request)))))
	}

	It("lets the answer die at a firewall that knows of no request", func(ctx SpecContext) {
		o := roundabout(`table inet filter { chain forward { type filter hook forward priority 0; policy drop;
			ct state established,related accept
			iifname "lan" accept
		}; }`)
		results := isolated(ctx, o.client, o.server, "fw", evidence.Drop, "policy inet filter forward", all...)
		Expect(results).To(And(onItsWay(evidence.Answer), passed("alt"), Not(passed("fw"))))

		By("sending the request the same way, as the control")
		giveRoutes(o.client, []netlink.Route{
			{Dst: prefix("0.0.0.0/0"), Gw: gateways[0].AsSlice()}, {Dst: prefix("::/0"), Gw: gateways[1].AsSlice()}})
		o.reaches(ctx, all...)
	})

	It("makes an answer invalid where there is no connection", func(ctx SpecContext) {
		o := roundabout(`table inet filter { chain forward { type filter hook forward priority 0;
			ct state invalid drop
		}; }`)
		results := isolated(ctx, o.client, o.server, "fw", evidence.Drop, "ct state invalid drop", icmp, web)
		Expect(results).To(And(onItsWay(evidence.Answer), passed("alt")))
		o.reaches(ctx, dns) // a datagram begins a connection, whichever way it goes

		lift(o.fw)
		o.reaches(ctx, all...)
	})
})

// ask asks a responder of probes.Serve over a connection that is open, and returns
// who answers; "" when nobody does in time.
func ask(conn net.Conn) string {
	GinkgoHelper()
	_, err := conn.Write([]byte("nstest? " + "the very same as before!"[:16]))
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.SetReadDeadline(time.Now().Add(silence))).To(Succeed())
	answer := make([]byte, 256)
	n, err := conn.Read(answer)
	if err != nil {
		Expect(err).To(MatchError(ContainSubstring("timeout")))
		return ""
	}
	words := strings.Fields(string(answer[:n]))
	Expect(words).NotTo(BeEmpty())
	return words[len(words)-1]
}

func dial(ctx context.Context, from *harness.Node, network string, to netip.Addr, port uint16) net.Conn {
	GinkgoHelper()
	conn, err := from.Dial(ctx, network, netip.AddrPortFrom(to, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	return conn
}

// forgetConnections empties a node's table of connections. A netlink handle of a
// node's has no socket for that, and would empty that of the machine.
func forgetConnections(node *harness.Node) {
	GinkgoHelper()
	Expect(node.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })).To(Succeed())
}

var _ = Describe("a tracked connection", func() {
	It("outlives the rule that let it in, and a new one is isolated all the same", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter {
			chain allowed { meta l4proto { icmp, icmpv6, tcp, udp } accept; }
			chain forward { type filter hook forward priority 0; policy drop;
				ct state established,related accept
				iifname "lan" jump allowed
			}
		}`)
		o.reaches(ctx, all...)
		var old []net.Conn
		for _, to := range []netip.Addr{server4, server6} {
			old = append(old, dial(ctx, o.client, "udp", to, 53))
		}
		for _, conn := range old {
			Expect(ask(conn)).To(Equal("server"))
		}
		Expect(o.fw.Nft("flush chain inet filter allowed")).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "policy inet filter forward", web, dns)
		for _, conn := range old {
			Expect(ask(conn)).To(Equal("server"), "the old one is let through")
		}

		By("forgetting the connections")
		forgetConnections(o.fw)
		for _, conn := range old {
			Expect(ask(conn)).To(BeEmpty())
		}

		By("allowing it again, as the control")
		Expect(o.fw.Nft("add rule inet filter allowed accept")).To(Succeed())
		o.reaches(ctx, all...)
	})

	It("outlives its translation, and a new one is answered by who is meant", func(ctx SpecContext) {
		f := newFarm()
		f.translate("10.0.2.3", "fd00:2::3")
		var old []net.Conn
		for _, to := range publics {
			conn := dial(ctx, f.client, "udp", to, 53)
			Expect(ask(conn)).To(Equal("other"))
			old = append(old, conn)
		}
		Expect(f.fw.Nft("flush chain inet nat in")).To(Succeed())
		f.translate("10.0.2.1", "fd00:2::1")
		for i, to := range publics {
			Expect(watch(ctx, f.client, to, dns, web)).To(HaveEach(HaveField("By", "server")))
			Expect(ask(old[i])).To(Equal("other"), "the old one is still led there")
		}

		By("forgetting the connections, as the control")
		forgetConnections(f.fw)
		for _, conn := range old {
			Expect(ask(conn)).To(Equal("server"))
		}
	})
})
