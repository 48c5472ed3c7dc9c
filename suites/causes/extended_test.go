package causes_test

import (
	"context"
	"net"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// withHeaders are the office's probes with extension headers of IPv6.
func withHeaders() (asked []probes.Probe) {
	for _, p := range []probes.Probe{icmp, web, dns} {
		asked = append(asked, p.Extended(probes.HopByHop), p.Extended(probes.DestinationOptions), p.Extended(probes.HopByHop, probes.DestinationOptions))
	}
	return asked
}

// saysExtended sends a datagram with destination options by a plain socket.
func saysExtended(ctx context.Context, from *harness.Node, port uint16) {
	GinkgoHelper()
	conn := dial(ctx, from, "udp", server6, port)
	raw, err := conn.(*net.UDPConn).SyscallConn()
	Expect(err).NotTo(HaveOccurred())
	var failed error
	Expect(raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptString(int(fd), unix.SOL_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00")
	})).To(Succeed())
	Expect(failed).NotTo(HaveOccurred())
	_, err = conn.Write([]byte("judge"))
	Expect(err).NotTo(HaveOccurred())
}

var _ = Describe("a request with extension headers of IPv6", func() {
	DescribeTable("passes, is followed, and is answered", func(ctx SpecContext, rules string) {
		o := up()
		if rules != "" {
			o = ruled(atFw, rules)
		}
		o.reaches(ctx, withHeaders()...)
		for _, r := range watch(ctx, o.client, o.server, patient(withHeaders()...)...) {
			Expect(r.Addr).To(Equal(server6))
			Expect(r.Packets[0]).To(And(HaveField("Role", evidence.Request), HaveField("Fate", evidence.Delivered), HaveField("Node", "server")), "%s", r.Timeline)
		}
		if rules != "" {
			Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule has seen the headers")
		}
	},
		Entry("where there are no rules", ""),
		Entry("where rules see the headers", forwarding(`exthdr hbh exists counter; exthdr dst exists counter`)),
	)

	DescribeTable("is isolated by who it is and for whom", func(ctx SpecContext, rules string) {
		o := ruled(atFw, rules)
		judge := echo(ctx, o.server, anywhere(5353))
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "closed", withHeaders()...)
		before := countedBy(o.fw)
		saysExtended(ctx, o.client, 5353)
		Eventually(func() int { return countedBy(o.fw) }).Should(BeNumerically(">", before), "the judge: the rule's own count of a plain socket's datagram")
		Expect(judge.came()).To(BeZero(), "the judge: a plain socket")
	},
		Entry("by interfaces", forwarding(`iifname "lan" counter drop comment "closed"`)),
		Entry("by the protocols behind the headers", forwarding(`meta l4proto { tcp, udp, icmpv6 } counter drop comment "closed"`)),
	)

	It("passes a rule that takes the first header for the protocol, and that is seen", func(ctx SpecContext) {
		o := ruled(atFw, forwarding(`iifname "lan" ip6 nexthdr udp counter drop comment "no udp"`))
		judge := echo(ctx, o.server, anywhere(5353))
		o.reaches(ctx, dns.Extended(probes.DestinationOptions))
		saysExtended(ctx, o.client, 5353)
		Eventually(judge.came).Should(Equal(1), "the judge: a plain socket hears it")
		noVerdict(probes.BeIsolatedFrom(server6, dns).WithContext(ctx), o.client, `("no udp"); but this rule decides by options or extension headers, which any program may choose`)
	})

	It("is named with the rule that drops what has one, which isolates nobody who has none", func(ctx SpecContext) {
		o := ruled(atFw, forwarding(`exthdr dst exists counter drop comment "no options"`))
		for _, r := range watch(ctx, o.client, o.server, patient(icmp.Extended(probes.DestinationOptions), web.Extended(probes.DestinationOptions), dns.Extended(probes.DestinationOptions))...) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Node", "fw"), HaveField("Rule.Comment", "no options"))), "%s", r.Timeline)
		}
		Expect(countedBy(o.fw)).To(BeNumerically(">=", 3), "the judge: the rule's own count")
		o.reaches(ctx, all...)
	})
})
