package causes_test

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

var _ = Describe("an answer from an address that was not asked", func() {
	It("is named where a service listens everywhere, and answers from its first address", func(ctx SpecContext) {
		o := up()
		second := netip.MustParseAddr("10.0.2.99")
		give(o.server, "dmz", "10.0.2.99/24")
		conn, err := o.server.ListenPacket(ctx, "udp4", netip.MustParseAddrPort("0.0.0.0:77"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = conn.Close() })
		read := make(chan string, 16) // what the judge was sent
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				read <- string(buf[:n])
				_, _ = conn.WriteTo([]byte("hello"), from)
			}
		}()
		asked := probes.UDP(77)
		for _, r := range watch(ctx, o.client, second, asked) {
			Expect(read).To(Receive())
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.OtherAddr), HaveField("Node", "client"), HaveField("Leg", evidence.Answer))), "%s", r.Timeline)
			Expect(r.Cause.Detail).To(Equal("it came from 10.0.2.1, which was not asked"))
			noVerdict(probes.BeUnansweredBy(second), r, "no policy isolates here, it looks like a mistake in the test")
		}

		By("asking at its first address, as the control")
		Expect(o.client).To(probes.Reach(server4, patient(asked)...).WithContext(ctx))
	})

	It("is named where such a service sends back what it was sent, and where a router has rewritten the address", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		second := netip.MustParseAddr("10.0.2.99")
		give(o.server, "dmz", "10.0.2.99/24")
		judge := echo(ctx, o.server, netip.MustParseAddrPort("0.0.0.0:77"))
		asked := probes.UDP(77)
		for _, r := range watch(ctx, o.client, second, asked) {
			Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.OtherAddr)), "%s", r.Timeline)
			Expect(r.Cause.Detail).To(Equal("it came from 10.0.2.1, which was not asked"))
		}
		Expect(judge.came()).To(BeNumerically(">", 0), "the judge: it was read, and answered")

		Expect(o.fw.Nft(`table ip m { chain pre { type filter hook prerouting priority -400; udp dport 77 ip daddr set 10.0.2.99; }; }`)).To(Succeed())
		for _, r := range watch(ctx, o.client, server4, asked) {
			Expect(r).To(And(HaveField("Outcome", probes.Answered), HaveField("By", "server"), HaveField("Proven", true)), "%s", r.Timeline)
		}
	})

	It("is named where a redirection to a neighbour has no way back through who redirects", func(ctx SpecContext) {
		network := topo.New("hairpin")
		lan := network.Switch("lan", "10.0.1.0/24")
		client := network.Host("client", lan.At("10.0.1.1"))
		network.Host("web", lan.At("10.0.1.9"))
		network.Router("fw", lan.At("10.0.1.2"), network.Switch("wan", "10.0.9.0/24").At("10.0.9.1")).
			Nft(`table ip nat { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.9.1 tcp dport 80 dnat to 10.0.1.9; }; }`)
		client.Route(topo.Route{To: "10.0.9.0/24", Via: "10.0.1.2"})
		lab := harness.Up(GinkgoTB(), network)
		probes.Serve(GinkgoTB(), lab.Node("web"), web)
		// After a second the client's kernel asks again, and has reset the first answer.
		for _, p := range []probes.Probe{web, web.Within(1500 * time.Millisecond)} {
			for _, r := range watch(ctx, lab.Node("client"), netip.MustParseAddr("10.0.9.1"), p) {
				Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.OtherAddr), HaveField("Node", "client"))), "%s", r.Timeline)
				Expect(r.Cause.Detail).To(Equal("it came from 10.0.1.9, which was not asked"))
			}
		}

		By("having fw stand for the client, as the control")
		Expect(lab.Node("fw").Nft(`table ip nat { chain post { type nat hook postrouting priority 100; ip daddr 10.0.1.9 masquerade; }; }`)).To(Succeed())
		Expect(lab.Node("client")).To(probes.Reach(lab.Node("fw").On("wan"), patient(web)...).AnsweredBy("web").WithContext(ctx))
	})
})
