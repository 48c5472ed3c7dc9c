package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// large are probes of more than 1,280 bytes and less than 1,500.
var large = []probes.Probe{probes.ICMP().Size(1400), probes.UDP(53).Size(1400)}

// shrink gives links a smaller MTU.
func shrink(name string, nodes ...*harness.Node) (grow func()) {
	GinkgoHelper()
	set := func(bytes int) {
		GinkgoHelper()
		for _, node := range nodes {
			Expect(node.Netlink().LinkSetMTU(link(node, name), bytes)).To(Succeed())
		}
	}
	set(1280)
	return func() {
		GinkgoHelper()
		set(1500)
	}
}

var _ = Describe("a packet", func() {
	It("that is too large for fw is named, and fw says so", func(ctx SpecContext) {
		o := up()
		grow := shrink("dmz", o.fw, o.server)
		results := broken(ctx, o.client, o.server, "fw", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(
			HaveField("Outcome", probes.Rejected), HaveField("By", "fw"), HaveField("ICMP.Info", 1280), HaveField("Cause.Interface", "dmz"))))

		By("asking with smaller ones, and then with a larger MTU, as the control")
		o.reaches(ctx, all...)
		grow()
		o.reaches(ctx, large...)
	})

	It("that is too large for the other end of a link is named, though nobody says so", func(ctx SpecContext) {
		o := up()
		grow := shrink("dmz", o.server)
		results := broken(ctx, o.client, o.server, "server", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(
			HaveField("Outcome", probes.Silent), HaveField("Cause.Interface", "dmz"), HaveField("Cause.Leg", evidence.Request))))

		By("asking with smaller ones, and then with a larger MTU, as the control")
		o.reaches(ctx, all...)
		grow()
		o.reaches(ctx, large...)
	})

	It("that is too large for its sender is named", func(ctx SpecContext) {
		o := up()
		grow := shrink("lan", o.client)
		results := broken(ctx, o.client, o.server, "client", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Unsent), HaveField("Errno", unix.EMSGSIZE))))

		By("asking with smaller ones, and then with a larger MTU, as the control")
		o.reaches(ctx, all...)
		grow()
		o.reaches(ctx, large...)
	})

	It("whose time to live is over is named", func(ctx SpecContext) {
		o := up()
		live := func(hops string) {
			Expect(o.client.SetSysctl("net.ipv4.ip_default_ttl", hops)).To(Succeed())
			Expect(o.client.SetSysctl("net.ipv6.conf.lan.hop_limit", hops)).To(Succeed())
		}
		live("1")
		results := broken(ctx, o.client, o.server, "fw", evidence.TTL, all...)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Rejected), HaveField("By", "fw"))))
		for _, addr := range gateways {
			Expect(o.client).To(probes.Reach(addr, patient(icmp)...).WithContext(ctx), "fw itself is one hop away")
		}

		By("letting it live longer, as the control")
		live("64")
		o.reaches(ctx, all...)
	})

	It("whose answer's time to live is over is named", func(ctx SpecContext) {
		o := up()
		live := func(hops string) {
			Expect(o.server.SetSysctl("net.ipv4.ip_default_ttl", hops)).To(Succeed())
			Expect(o.server.SetSysctl("net.ipv6.conf.dmz.hop_limit", hops)).To(Succeed())
		}
		live("1")
		Expect(broken(ctx, o.client, o.server, "fw", evidence.TTL, all...)).To(onItsWay(evidence.Answer))

		By("letting it live longer, as the control")
		live("64")
		o.reaches(ctx, all...)
	})
})
