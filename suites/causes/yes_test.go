package causes_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// bothFamilies is rules of both families, of one text with VERSION for ip and ip6, and
// SERVER, OTHER and FW for the addresses.
func bothFamilies(text string) string {
	four := strings.NewReplacer("FAMILY", "ip", "SERVER", "10.0.2.1", "OTHER", "10.0.2.3", "ICMP", "icmp", "WHOLE", "60", "DNAT80", "10.0.2.1:80", "DNAT53", "10.0.2.1:53")
	six := strings.NewReplacer("FAMILY", "ip6", "SERVER", "fd00:2::1", "OTHER", "fd00:2::3", "ICMP", "icmpv6", "WHOLE", "80", "DNAT80", "[fd00:2::1]:80", "DNAT53", "[fd00:2::1]:53")
	return four.Replace(text) + "\n" + six.Replace(text)
}

// rule loads rules at fw. One that picks no connection up in the middle is what a proxy
// for handshakes needs.
func (f farm) rule(rules string) {
	GinkgoHelper()
	Expect(f.fw.Nft(rules)).To(Succeed())
	if strings.Contains(rules, "synproxy") {
		Expect(f.fw.SetSysctl("net.netfilter.nf_conntrack_tcp_loose", "0")).To(Succeed())
	}
}

// unserved is the farm without responders.
func unserved(rules string) farm {
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
	if rules != "" {
		f.rule(rules)
	}
	return f
}

// notReached says that a probe does not show that the target is reached, asked in every
// way, and why.
func notReached(ctx SpecContext, from *harness.Node, to probes.Target, p probes.Probe, why string) {
	GinkgoHelper()
	noVerdict(probes.Reach(to, p).WithContext(ctx), from, why)
	bare, err := probes.Ask(ctx, from, to, p)
	Expect(err).NotTo(HaveOccurred())
	noVerdict(probes.Reach(to, p).WithContext(ctx), bare, why)
	watched, err := probes.Watch(ctx, from, to, p)
	Expect(err).NotTo(HaveOccurred())
	noVerdict(probes.Reach(to, p).WithContext(ctx), watched, why)
}

const (
	redirected = `table FAMILY nat { chain pre { type nat hook prerouting priority -100; iifname "lan" meta l4proto { tcp, udp } th dport { 80, 53 } redirect to :3128; }; }`
	ledAway    = `table FAMILY nat { chain pre { type nat hook prerouting priority -100; FAMILY daddr SERVER meta l4proto { tcp, udp, ICMP } dnat to OTHER; }; }`
	hidden     = `table FAMILY hide { chain post { type nat hook postrouting priority 100; oifname "dmz" masquerade; }; }`
	noData     = `table FAMILY cut { chain forward { type filter hook forward priority 0; ct state established meta length > WHOLE tcp flags & (syn|fin|rst) == 0 drop; }; }`
	noAnswer   = `table FAMILY cut { chain forward { type filter hook forward priority 0; iifname "dmz" meta length > WHOLE tcp flags & (syn|fin|rst) == 0 drop; }; }`
	twoPackets = `table FAMILY cut { chain forward { type filter hook forward priority 0; ct original packets > 2 drop; }; }`
	// With timestamps a kernel of 2025 or later takes the proxy's last packet for a forged
	// one (TSECR_REJECTED), and waits for data.
	synproxy = `table FAMILY proxy {
		chain pre { type filter hook prerouting priority -300; iifname "lan" tcp dport 80 tcp flags syn notrack; }
		chain forward { type filter hook forward priority -10; iifname "lan" tcp dport 80 ct state { invalid, untracked } synproxy mss 1460 wscale 7 sack-perm; ct state invalid drop; }
	}`
	noneBehind = `table FAMILY cut { chain post { type filter hook postrouting priority 300; oifname "dmz" tcp dport 80 drop; }; }`
	noLastACK  = `table FAMILY cut { chain forward { type filter hook forward priority 0; iifname "lan" tcp flags & (syn|ack|rst) == ack drop; }; }`
)

var _ = Describe("a yes", func() {
	Describe("without a signature that was due", func() {
		for _, c := range []struct{ what, rules, by string }{
			{"where a port is redirected to the firewall", redirected, "fw"},
			{"where the server's address is led to another", ledAway, "other"},
		} {
			It("is no yes "+c.what, func(ctx SpecContext) {
				f := newFarm()
				Expect(f.fw.Nft(bothFamilies(c.rules))).To(Succeed())
				proxy, other := hears(ctx, f.fw, 3128), f.other
				echo(ctx, f.fw, netip.MustParseAddrPort("10.0.1.2:3128"))
				echo(ctx, f.fw, netip.MustParseAddrPort("[fd00:1::2]:3128"))
				for _, p := range []probes.Probe{web, dns} {
					notReached(ctx, f.client, f.server, p, "was answered by "+c.by+", not by server")
				}
				if c.by == "fw" {
					Eventually(proxy.came).Should(BeNumerically(">", 0))
				}
				if c.by == other.Name() {
					notReached(ctx, f.client, f.server, icmp, "was answered by other, not by server")
				}
				for _, p := range all {
					grid := probes.Grid{From: []*harness.Node{f.client}, To: []probes.Target{f.server}, Probes: []probes.Probe{p}}
					matrix, err := grid.Survey(ctx)
					Expect(err).NotTo(HaveOccurred())
					want := "wrong@" + c.by
					if c.by == "fw" && p == icmp {
						want = "ok" // its rule is about ports
					}
					Expect(matrix.Cell("client", "server")).To(Equal(want), "%s", p)
				}

				By("lifting the translation, as the control")
				lift(f.fw)
				f.reaches(ctx, all...)
			})
		}

		It("is no yes where the address has moved", func(ctx SpecContext) {
			f := unserved("")
			there := hears(ctx, f.other, 80)
			for _, prefix := range []string{"10.0.2.1/24", "fd00:2::1/64"} {
				take(f.server, "dmz", prefix)
				give(f.other, "dmz", prefix)
			}
			for _, p := range []probes.Probe{icmp, web} {
				notReached(ctx, f.client, f.server, p, "was answered by other, not by server")
				Expect(f.client).To(probes.Reach(server4, patient(p)...).WithContext(ctx), "who has the address now")
				Expect(f.client).To(probes.Reach(server6, patient(p)...).WithContext(ctx), "who has the address now")
			}
			Eventually(there.came).Should(BeNumerically(">=", 2))
		})
	})

	DescribeTable("is no handshake, where a responder is to sign", func(ctx SpecContext, rules, why string) {
		f := newFarm()
		f.rule(bothFamilies(rules))
		p := web.Within(silence)
		if rules == noAnswer {
			p = web // who answers is to have its turn
		}
		notReached(ctx, f.client, f.server, p, why)
		grid := probes.Grid{From: []*harness.Node{f.client}, To: []probes.Target{f.server}, Probes: []probes.Probe{p}}
		matrix, err := grid.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("client", "server")).To(Equal("silent"))

		lift(f.fw)
		f.reaches(ctx, web)
	},
		Entry("and no data passes", noData, "the connection was made, and no data passed"),
		Entry("and its answer is dropped", noAnswer, "the connection was made, and no data passed"),
		Entry("and its last packet is dropped", noLastACK, "the connection was made, and no node has a socket for it"),
		Entry("and two packets pass", twoPackets, "the connection was made, and no data passed"),
		Entry("and a proxy answers for nobody", synproxy+"\n"+noneBehind, "the connection was made, and no node has a socket for it"),
	)

	DescribeTable("is no handshake, where the service is the user's own", func(ctx SpecContext, rules string) {
		f := unserved(bothFamilies(rules))
		service := hears(ctx, f.server, 80)
		notReached(ctx, f.client, f.server, web.Within(silence), "the connection was made, and no node has a socket for it")
		Expect(service.came()).To(BeZero())

		lift(f.fw)
		f.reaches(ctx, web)
		Eventually(service.came).Should(BeNumerically(">=", 2))
	},
		Entry("and its last packet is dropped", noLastACK),
		Entry("and a proxy answers for nobody", synproxy+"\n"+noneBehind),
		Entry("and a proxy answers for nobody, behind which addresses are hidden", synproxy+"\n"+noneBehind+"\n"+hidden),
	)

	DescribeTable("is a connection that the server has", func(ctx SpecContext, rules string) {
		f := unserved(bothFamilies(rules))
		service := hears(ctx, f.server, 80)
		f.reaches(ctx, web)
		Eventually(service.came).Should(BeNumerically(">=", 2))
		result, err := probes.Watch(ctx, f.client, f.server, web)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.All()).To(HaveEach(And(HaveField("By", "server"), HaveField("Proven", true))))
		Expect(result).To(probes.Reach(f.server, web))
		grid := probes.Grid{From: []*harness.Node{f.client}, To: []probes.Target{f.server}, Probes: []probes.Probe{web}}
		matrix, err := grid.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(matrix.Cell("client", "server")).To(Equal("ok"))
	},
		Entry("plainly", ""),
		Entry("from a hidden address", hidden),
		Entry("through a proxy that works", synproxy),
		Entry("through a proxy that works, from a hidden address", synproxy+"\n"+hidden),
		Entry("though it gets no data", noData),
	)

	It("is signed through a proxy for handshakes that works", func(ctx SpecContext) {
		f := newFarm()
		f.rule(bothFamilies(synproxy))
		f.reaches(ctx, web)
		for _, r := range watch(ctx, f.client, f.server, web) {
			Expect(r).To(And(HaveField("Outcome", probes.Answered), HaveField("By", "server"), HaveField("Proven", true)))
		}
	})

	It("is that of a service that closes at once", func(ctx SpecContext) {
		f := unserved("")
		listener, err := f.server.Listen(ctx, "tcp", netip.AddrPortFrom(netip.Addr{}, 80))
		Expect(err).NotTo(HaveOccurred())
		defer listener.Close()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_ = conn.Close()
			}
		}()
		f.reaches(ctx, web)
	})

	DescribeTable("at a forwarded port is who is behind it", func(ctx SpecContext, serve func(SpecContext, farm)) {
		f := unserved(bothFamilies(`table FAMILY nat { chain pre { type nat hook prerouting priority -100; iifname "lan" tcp dport 8080 dnat to DNAT80; iifname "lan" udp dport 5353 dnat to DNAT53; }; }`))
		serve(ctx, f)
		to := f.fw.On("lan")
		for _, p := range []probes.Probe{probes.TCP(8080), probes.UDP(5353)} {
			notReached(ctx, f.client, to, p, "was answered by server, not by fw")
			Expect(f.client).To(probes.Reach(to, patient(p)...).AnsweredBy("server").WithContext(ctx))
			noVerdict(probes.Reach(to, p).AnsweredBy("other").WithContext(ctx), f.client, "was answered by server, not by other")
			noVerdict(probes.Reach(to, p).AnsweredBy("nobody").WithContext(ctx), f.client, `has no node "nobody"`)
		}
	},
		Entry("with a responder", func(_ SpecContext, f farm) { probes.Serve(GinkgoTB(), f.server, web, dns) }),
		Entry("with the user's own services", func(ctx SpecContext, f farm) {
			hears(ctx, f.server, 80)
			echo(ctx, f.server, netip.AddrPortFrom(server4, 53))
			echo(ctx, f.server, netip.AddrPortFrom(server6, 53))
		}),
	)

	It("is a forwarding program's own", func(ctx SpecContext) {
		f := unserved("")
		proxy := forward(ctx, f.fw, 8080, netip.AddrPortFrom(server4, 80))
		service := hears(ctx, f.server, 80)
		Expect(f.client).To(probes.Reach(f.fw, patient(probes.TCP(8080))...).WithContext(ctx))
		noVerdict(probes.Reach(f.fw, probes.TCP(8080)).AnsweredBy("server").WithContext(ctx), f.client, "was answered by fw, not by server")
		Eventually(proxy.came).Should(BeNumerically(">", 0))
		Eventually(service.came).Should(BeNumerically(">", 0))
	})

	It("of a service that signs nothing is seen to leave it", func(ctx SpecContext) {
		f := unserved("")
		services := []*plain{echo(ctx, f.server, netip.AddrPortFrom(server4, 53)), echo(ctx, f.server, netip.AddrPortFrom(server6, 53))}
		f.reaches(ctx, dns, icmp)
		for _, service := range services {
			Eventually(service.came).Should(BeNumerically(">", 0))
		}
	})
})

// forward is a program at a node that forwards connections.
func forward(ctx context.Context, node *harness.Node, port uint16, to netip.AddrPort) *plain {
	GinkgoHelper()
	return accepts(ctx, node, port, func(conn net.Conn) {
		behind, err := node.Dial(ctx, "tcp", to)
		if err != nil {
			_ = conn.Close()
			return
		}
		go func() {
			defer behind.Close()
			_, _ = io.Copy(behind, conn)
		}()
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, behind)
		}()
	})
}
