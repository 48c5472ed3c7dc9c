package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("another port of which a rule makes the one that is named", func() {
	const (
		direct   = `table inet filter { chain forward { type filter hook forward priority 0; udp dport 7 drop comment "no echo"; }; }`
		original = `table inet filter { chain forward { type filter hook forward priority 0; meta l4proto udp ct original proto-dst 7 drop comment "no echo"; }; }`
		edges    = `table inet filter { chain forward { type filter hook forward priority 0; udp dport { 7, 5299, 5300, 5400, 5401 } drop comment "no echo"; }; }`
		pre      = `type nat hook prerouting priority -100;`
	)
	// read is the judge: a plain datagram to a port is read at the named one.
	read := func(s *site, to string) {
		GinkgoHelper()
		service := datagrams(s.node("site"), 7, 0)
		sending{to: netip.MustParseAddrPort(to)}.send(s.node("pc"))
		Eventually(func() []string { return plain(service) }).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
	}

	DescribeTable("leads to the target, where it is", func(ctx SpecContext, fw, at, rules, to string) {
		s := ruled(fw)
		pc, site := s.node("pc"), s.node("site")
		Expect(pc).To(probes.BeIsolatedFrom(site, echo).At("fw").By("no echo").WithContext(ctx), "the control")
		Expect(s.node(at).Nft(rules)).To(Succeed())
		route(s.node("fw"), 0, "192.0.2.0/24", "wan", "10.0.9.1")
		read(s, to)
		notIsolated(ctx, pc, site, echo, netip.MustParseAddrPort(to).Addr().String(), "arrives at udp/7", "close this way")
	},
		Entry("redirected at the target", direct, "site", `table ip n { chain c { `+pre+` udp dport 5300 redirect to :7; }; }`, "10.0.9.1:5300"),
		Entry("redirected with all others", direct, "site", `table ip n { chain c { `+pre+` udp dport != 7 redirect to :7; }; }`, "10.0.9.1:5300"),
		Entry("redirected whatever it is", direct, "site", `table ip n { chain c { `+pre+` iifname "wan" meta l4proto udp redirect to :7; }; }`, "10.0.9.1:5300"),
		Entry("of a range whose edges are closed", edges, "site", `table ip n { chain c { `+pre+` udp dport 5300-5400 redirect to :7; }; }`, "10.0.9.1:5350"),
		Entry("of a map", direct, "site", `table ip n { chain c { `+pre+` meta l4proto udp redirect to :udp dport map { 5300 : 7, 5301 : 8 }; }; }`, "10.0.9.1:5300"),
		Entry("of a map with addresses", direct, "site", `table ip n { chain c { `+pre+` dnat to udp dport map { 5300 : 10.0.9.1 . 7, 5301 : 10.0.9.1 . 8 }; }; }`, "10.0.9.1:5300"),
		Entry("behind a jump", direct, "site", `table ip n { chain one { meta l4proto udp redirect to :7; }; chain c { `+pre+` udp dport 5300 jump one; }; }`, "10.0.9.1:5300"),
		Entry("by a mark", direct, "site", `table ip n { chain first { type filter hook prerouting priority -150; udp dport 5300 meta mark set 3; }; chain c { `+pre+` meta mark 3 meta l4proto udp redirect to :7; }; }`, "10.0.9.1:5300"),
		Entry("without NAT", direct, "site", `table ip n { chain c { type filter hook prerouting priority -400; udp dport 5300 udp dport set 7; }; }`, "10.0.9.1:5300"),
		Entry("translated on the way", original, "fw", `table ip n { chain c { `+pre+` udp dport 5300 dnat to :7; }; }`, "10.0.9.1:5300"),
		Entry("of the router's own address", original, "fw", `table ip n { chain c { `+pre+` ip daddr 10.0.1.2 udp dport 5300 dnat to 10.0.9.1:7; }; }`, "10.0.1.2:5300"),
		Entry("of an address that nobody has", direct, "site", `table ip n { chain c { `+pre+` ip daddr 192.0.2.9 udp dport 5300 dnat to 10.0.9.1:7; }; }`, "192.0.2.9:5300"),
	)

	It("also by iptables", func(ctx SpecContext) {
		s := ruled(direct)
		Expect(s.node("site").Iptables("*nat\n:PREROUTING ACCEPT\n-A PREROUTING -p udp --dport 5300 -j REDIRECT --to-ports 7\nCOMMIT\n")).To(Succeed())
		read(s, "10.0.9.1:5300")
		notIsolated(ctx, s.node("pc"), s.node("site"), echo, "arrives at udp/7")
	})

	It("may, where it is one of several", func(ctx SpecContext) {
		s := ruled(direct)
		Expect(s.node("site").Nft(`table ip n { chain c { ` + pre + ` udp dport 5300 redirect to :7-20; }; }`)).To(Succeed())
		service := datagrams(s.node("site"), 7, 0)
		Eventually(func() []string {
			sending{to: netip.MustParseAddrPort("10.0.9.1:5300")}.send(s.node("pc"))
			return plain(service)
		}).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, s.node("pc"), s.node("site"), echo, "redirect to :7-20")
	})

	It("also by rules of the asker's own", func(ctx SpecContext) {
		s := planned().up()
		pc, site := s.node("pc"), s.node("site")
		Expect(pc.Nft(`table ip f { chain c { type filter hook output priority 0; meta l4proto udp ct original proto-dst 7 drop comment "no echo"; }; }`)).To(Succeed())
		Expect(pc).To(probes.BeIsolatedFrom(site, echo).At("pc").By("no echo").WithContext(ctx), "the control")
		Expect(pc.Nft(`table ip n { chain c { type nat hook output priority -100; udp dport 5300 dnat to :7; }; }`)).To(Succeed())
		read(s, "10.0.9.1:5300")
		notIsolated(ctx, pc, site, echo, "arrives at udp/7")
	})

	It("also over TCP, and of IPv6", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("office")
		lan, wan := network.Switch("lan", "fd00:1::/64"), network.Switch("wan", "fd00:9::/64")
		network.Host("pc", lan)
		network.Host("site", wan).Nft(`table inet n { chain c { type nat hook prerouting priority -100; tcp dport 8080 redirect to :80; }; }`)
		network.Router("fw", lan, wan).Nft(drop(`tcp dport 80 drop comment "no web"`))
		s := (&site{network: network}).up()
		pc, target := s.node("pc"), s.node("site")
		streams(target, 80, true)
		conn, err := pc.Dial(ctx, "tcp", netip.MustParseAddrPort("[fd00:9::1]:8080"))
		Expect(err).NotTo(HaveOccurred(), "the judge")
		Expect(conn.Close()).To(Succeed())
		notIsolated(ctx, pc, target, web, "arrives at tcp/80")
	})

	DescribeTable("leads nowhere, where it", func(ctx SpecContext, fw, rules string, listens ...uint16) {
		s := ruled(fw)
		pc, site := s.node("pc"), s.node("site")
		Expect(site.Nft(rules)).To(Succeed())
		heard := datagrams(site, 7, 0)
		var others []*service
		for _, port := range listens {
			others = append(others, datagrams(site, port, 0))
		}
		Expect(pc).To(probes.BeIsolatedFrom(site, echo).At("fw").By("no echo").WithContext(ctx))
		Expect(heard.heard()).To(BeEmpty(), "the judge")
		for _, other := range others {
			Expect(other.heard()).NotTo(BeEmpty(), "it is asked, and another service's")
		}
	},
		Entry("is closed as well", edges, `table ip n { chain c { `+pre+` udp dport 5300 redirect to :7; }; }`),
		Entry("is made another", direct, `table ip n { chain c { `+pre+` udp dport 5300 redirect to :8; }; }`),
		Entry("is made another beside it", edges, `table ip n { chain c { `+pre+` meta l4proto udp redirect to :udp dport map { 5300 : 7, 5310 : 8 }; }; }`, uint16(8)),
		Entry("is let in by itself", direct, `table ip n { chain c { `+pre+` ip saddr 10.0.1.77 udp dport 5300 redirect to :7; }; }`, uint16(5300)),
	)

	It("is not asked, where Except has it answered", func(ctx SpecContext) {
		s := ruled(direct)
		Expect(s.node("site").Nft(`table ip n { chain c { ` + pre + ` udp dport 5300 redirect to :7; }; }`)).To(Succeed())
		read(s, "10.0.9.1:5300")
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo).Except(probes.UDP(5300)).WithContext(ctx))
	})

	It("is the router's own to refuse, where it forwards another", func(ctx SpecContext) {
		s := ruled(`table inet filter { chain forward { type filter hook forward priority 0; udp dport 7 drop comment "no echo"; }; }
			table ip n { chain c { ` + pre + ` iifname "lan" tcp dport 8080 dnat to 10.0.9.1:80; }; }`)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo).At("fw").By("no echo").WithContext(ctx))
	})
})
