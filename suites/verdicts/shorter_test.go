package verdicts_test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// shorter is pc behind fw, which drops what is asked at port 53, and whose own way to site is by
// r2, back over the link on which pc is too.
func shorter(v6 bool, r2rules string) *site {
	GinkgoHelper()
	prefixes, gateway, next := []string{"10.0.1.0/24", "10.0.9.0/24"}, "10.0.1.2", "10.0.1.3"
	if v6 {
		prefixes, gateway, next = []string{"fd00:1::/64", "fd00:9::/64"}, "", "fe80::3"
	}
	network := topo.New("shorter")
	lan, wan := network.Switch("lan", prefixes[0]), network.Switch("wan", prefixes[1])
	network.Host("pc", lan).NoRoutes()
	network.Host("site", wan)
	network.Router("fw", lan).NoRoutes().Nft(`table inet f { chain c { type filter hook forward priority 0; udp dport 53 drop; }; }`)
	network.Router("r2", lan, wan).Nft(r2rules)
	s := (&site{network: network}).up()
	if v6 { // who tells of a shorter way has and names a link-local address (RFC 4861, 8.1)
		gateway = linkLocal(s.node("fw"), "lan")
		add(s.node("r2"), "lan", "fe80::3/64")
	}
	route(s.node("pc"), 254, prefixes[1], "lan", gateway)
	route(s.node("fw"), 254, prefixes[1], "lan", next)
	return s
}

// linkLocal is the address of a device by which its kernel tells of shorter ways.
func linkLocal(node *harness.Node, device string) string {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	addrs, err := node.Netlink().AddrList(link, netlink.FAMILY_V6)
	Expect(err).NotTo(HaveOccurred())
	at := slices.IndexFunc(addrs, func(a netlink.Addr) bool { return a.IP.IsLinkLocalUnicast() })
	Expect(at).NotTo(Equal(-1))
	return addrs[at].IP.String()
}

var _ = Describe("a shorter way, of which a router tells by an ICMP redirect", func() {
	It("leads past the router's rules", func(ctx SpecContext) {
		s := shorter(false, "")
		heard := datagrams(s.node("site"), 53, -1)
		for range 2 {
			notIsolated(ctx, s.node("pc"), s.node("site"), probes.UDP(53).Within(silence), "fw tells pc of a shorter way, by 10.0.1.3 on lan", "accept_redirects=0 at pc")
		}
		Eventually(func() []string {
			says(s.node("pc"), netip.AddrPort{}, netip.AddrPortFrom(site4, 53), 1, "plain")
			return heard.heard()
		}, 5*time.Second, 50*time.Millisecond).Should(ContainElement("plain"), "the judge: plain datagrams, with nothing changed by anybody")
	})

	It("isolates where it is closed too", func(ctx SpecContext) {
		s := shorter(false, `table inet f { chain c { type filter hook forward priority 0; udp dport 53 drop; }; }`)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), probes.UDP(53).Within(silence)).WithContext(ctx))
	})

	DescribeTable("isolates where nobody takes it", func(ctx SpecContext, v6 bool, to string, keys ...string) {
		s := shorter(v6, "")
		for _, key := range keys {
			Expect(s.node("pc").SetSysctl(key, "0")).To(Succeed())
		}
		heard := datagrams(s.node("site"), 53, -1)
		for range 3 {
			Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), probes.UDP(53).Within(silence)).At("fw").WithContext(ctx))
			says(s.node("pc"), netip.AddrPort{}, netip.MustParseAddrPort(to), 3, "plain")
		}
		Consistently(heard.heard, 100*time.Millisecond).Should(BeEmpty(), "the judge: plain datagrams")
	},
		Entry("IPv4", false, "10.0.9.1:53", "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.lan.accept_redirects"),
		Entry("IPv6", true, "[fd00:9::1]:53", "net.ipv6.conf.lan.accept_redirects"),
	)
})
