package nat_test

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

// listen opens a datagram socket of a node, which is closed when the spec ends.
func listen(node *harness.Node, addr netip.Addr, port uint16) net.PacketConn {
	GinkgoHelper()
	conn, err := node.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(conn.Close()).To(Succeed()) })
	return conn
}

func send(conn net.PacketConn, to netip.AddrPort, text string) {
	GinkgoHelper()
	_, err := conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to))
	Expect(err).NotTo(HaveOccurred())
}

// receive is the next datagram and who sent it.
func receive(conn net.PacketConn) (text string, from netip.AddrPort) {
	GinkgoHelper()
	Expect(conn.SetReadDeadline(time.Now().Add(comes))).To(Succeed())
	buf := make([]byte, 64)
	n, peer, err := conn.ReadFrom(buf)
	Expect(err).NotTo(HaveOccurred())
	from = netip.MustParseAddrPort(peer.String())
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// talk is a conversation from web to the site's address: the judge's, and a probe's.
type talk struct {
	plain net.Conn
	asked *probes.Connection
	reach func() *probes.ReachMatcher
	peer  netip.Addr // that the site sees
}

// begun are conversations of every protocol and family, which the site sees come from these
// addresses.
func begun(ctx SpecContext, h home, seen []netip.Addr) (talks []talk) {
	GinkgoHelper()
	for i, addr := range of(h.site, "wan") {
		for protocol, p := range map[string]probes.Probe{"tcp": probes.TCP(80), "udp": probes.UDP(80)} {
			plain := connect(h.web, protocol, netip.AddrPortFrom(addr, 80), comes)
			Expect(plain).NotTo(BeNil())
			p = p.Send("who?").Await(answer(h.site, seen[i])).Within(comes)
			asked, err := probes.Connect(ctx, h.web, addr, p)
			Expect(err).NotTo(HaveOccurred())
			talks = append(talks, talk{plain, asked, func() *probes.ReachMatcher { return probes.Reach(addr, p).AnsweredBy("site").Through("r") }, seen[i]})
		}
	}
	goesOn(ctx, h, talks)
	return talks
}

// goesOn says that conversations are what they were.
func goesOn(ctx SpecContext, h home, talks []talk) {
	GinkgoHelper()
	for _, t := range talks {
		Expect(ask(t.plain, comes)).To(Equal(answer(h.site, t.peer)))
		Expect(t.asked.Watch(ctx)).To(t.reach().TranslatedBy("r"))
	}
}

var _ = Describe("a connection that was made", func() {
	masquerade := func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.Masquerade(wan)} }

	It("keeps its translation when the rule is gone, while another rule has connections tracked", func(ctx SpecContext) {
		h := homeOf(masquerade)
		Expect(h.r.Nft(`table inet filter { chain forward { type filter hook forward priority 0; policy accept; ct state established counter; }; }`)).To(Succeed())
		seen := of(h.r, "wan")
		talks := begun(ctx, h, seen)
		Expect(h.r.Nft("flush chain inet nat postrouting")).To(Succeed())
		goesOn(ctx, h, talks)
		for _, addr := range of(h.site, "wan") {
			unanswered(h.web, addr, 80)
		}

		By("taking that rule away as well: the kernel tracks no more than rules ask for")
		Expect(h.r.Nft("flush chain inet filter forward")).To(Succeed())
		for _, t := range talks {
			Expect(ask(t.plain, stays)).To(BeEmpty())
		}
	})

	It("keeps its translation when another is given to those that come", func(ctx SpecContext) {
		h := homeWith(append([]string{"10.0.9.78/32", "fd00:9::78/128"}, extras...), func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.SNAT(wan, extra[0].String()), topo.SNAT(wan, extra[1].String())}
		})
		talks := begun(ctx, h, extra)
		Expect(h.r.Nft(`flush chain inet nat postrouting
			add rule inet nat postrouting oifname "wan" meta nfproto ipv4 snat ip to 10.0.9.78
			add rule inet nat postrouting oifname "wan" meta nfproto ipv6 snat ip6 to fd00:9::78`)).To(Succeed())
		goesOn(ctx, h, talks)
		for i, addr := range of(h.site, "wan") {
			Expect(says(h.web, addr, 80)).To(Equal(answer(h.site, []netip.Addr{netip.MustParseAddr("10.0.9.78"), netip.MustParseAddr("fd00:9::78")}[i])))
		}
	})

	It("goes on where new ones are dropped", func(ctx SpecContext) {
		h := homeOf(masquerade)
		seen := of(h.r, "wan")
		talks := begun(ctx, h, seen)
		Expect(h.r.Nft(`table inet filter { chain forward { type filter hook forward priority 0; policy accept;
			ct state established accept
			drop comment "nothing new"
		}; }`)).To(Succeed())
		goesOn(ctx, h, talks)
		for _, addr := range of(h.site, "wan") {
			unanswered(h.web, addr, 80)
		}
		Expect(h.web).To(probes.MustMatter(probes.BeIsolatedFrom(h.site, probes.TCP(80))).At("r").By("nothing new").WithContext(ctx))
	})
})

var _ = Describe("two homes with the same addresses", func() {
	It("are told apart outside by their routers", func(ctx SpecContext) {
		network := topo.New("homes")
		wan := network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
		network.Host("site", wan).NoRoutes()
		for _, name := range []string{"a", "b"} {
			lan := network.Wire("lan-"+name, "10.0.1.0/24", "fd00:1::/64")
			network.Host("pc-"+name, lan)
			network.Router("r-"+name, lan, wan).NAT(topo.Masquerade(wan))
		}
		lab := up(network)
		site := lab.Node("site")
		serve(site, 80)
		for _, name := range []string{"a", "b"} {
			pc, r := lab.Node("pc-"+name), lab.Node("r-"+name)
			for i, addr := range of(site, "wan") {
				Expect(says(pc, addr, 80)).To(Equal(answer(site, of(r, "wan")[i])))
			}
			Expect(pc).To(probes.Reach(site, probes.ICMP(), probes.TCP(80)).WithContext(ctx))
		}
		Expect(of(lab.Node("pc-a"), "lan-a")).To(Equal(of(lab.Node("pc-b"), "lan-b")))
	})
})
