package links_test

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

// seenBy is the source of a datagram that one node sends to an address, as who reads it
// there sees it.
func seenBy(reader, sender *harness.Node, to netip.Addr) string {
	GinkgoHelper()
	conn, err := reader.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(to, 0))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	from, err := sender.Dial(context.Background(), "udp", netip.MustParseAddrPort(conn.LocalAddr().String()))
	Expect(err).NotTo(HaveOccurred())
	defer from.Close()
	_, err = from.Write([]byte("who"))
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.SetReadDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
	_, source, err := conn.ReadFrom(make([]byte, 16))
	Expect(err).NotTo(HaveOccurred(), "nothing came to %s", to)
	return source.(*net.UDPAddr).AddrPort().Addr().Unmap().String()
}

// behind is a network behind a router, of which the site knows nothing.
//
//	web --lan-- r --wan-- site
func behind(translate func(lan, wan *topo.Segment) []topo.NAT) *topo.Network {
	network := topo.New("behind")
	lan, wan := network.Wire("lan", "10.0.1.0/24", "fd00:1::/64"), network.Wire("wan", "10.0.9.0/24", "fd00:9::/64")
	network.Host("web", lan)
	network.Host("site", wan).NoRoutes()
	network.Router("r", lan, wan.Also("10.0.9.77/24")).NAT(translate(lan, wan)...)
	return network
}

var _ = Describe("translation of addresses", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.NftTool) })

	It("hides a network behind the router's address", func(ctx SpecContext) {
		lab := up(behind(func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.Masquerade(wan)} }))
		web, site := lab.Node("web"), lab.Node("site")
		probes.Serve(GinkgoTB(), site, probes.TCP(80), probes.UDP(53))
		Expect(seenBy(site, web, site.Addrs()[0])).To(Equal("10.0.9.2"))
		Expect(seenBy(site, web, site.Addrs()[1])).To(Equal("fd00:9::2"))
		reaches(ctx, web, site)
	})

	It("gives a source that was chosen", func(ctx SpecContext) {
		lab := up(behind(func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.SNAT(wan, "10.0.9.77")} }))
		web, site := lab.Node("web"), lab.Node("site")
		Expect(seenBy(site, web, site.Addrs()[0])).To(Equal("10.0.9.77"))
		Expect(web).To(probes.Reach(site.Addrs()[0], probes.ICMP()).WithContext(ctx))
	})

	It("forwards a port", func(ctx SpecContext) {
		lab := up(behind(func(_, wan *topo.Segment) []topo.NAT {
			return []topo.NAT{topo.DNAT(wan, "tcp/8080", "10.0.1.1:80"), topo.DNAT(wan, "tcp/8080", "[fd00:1::1]:80")}
		}))
		web, site, r := lab.Node("web"), lab.Node("site"), lab.Node("r")
		probes.Serve(GinkgoTB(), web, probes.TCP(80))
		Expect(site).To(probes.Reach(r.On("wan"), probes.TCP(8080)).AnsweredBy("web").WithContext(ctx))
	})

	It("stands one address in for another, both ways", func(ctx SpecContext) {
		lab := up(behind(func(_, wan *topo.Segment) []topo.NAT { return []topo.NAT{topo.OneToOne(wan, "10.0.9.77", "10.0.1.1")} }))
		web, site := lab.Node("web"), lab.Node("site")
		probes.Serve(GinkgoTB(), web, probes.TCP(80))
		Expect(seenBy(site, web, site.Addrs()[0])).To(Equal("10.0.9.77"))
		Expect(site).To(probes.Reach(netip.MustParseAddr("10.0.9.77"), probes.TCP(80)).AnsweredBy("web").WithContext(ctx))
	})

	It("redirects to the router itself", func(ctx SpecContext) {
		lab := up(behind(func(lan, _ *topo.Segment) []topo.NAT { return []topo.NAT{topo.Redirect(lan, "tcp/80", 3128)} }))
		web, site, r := lab.Node("web"), lab.Node("site"), lab.Node("r")
		proxy, err := r.Listen(ctx, "tcp", netip.MustParseAddrPort("10.0.1.2:3128"))
		Expect(err).NotTo(HaveOccurred())
		defer proxy.Close()
		conn, err := web.Dial(ctx, "tcp", netip.AddrPortFrom(site.Addrs()[0], 80))
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		taken, err := proxy.Accept()
		Expect(err).NotTo(HaveOccurred())
		Expect(taken.Close()).To(Succeed())
	})
})
