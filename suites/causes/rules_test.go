package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// ruled is the office with nftables rules at one of its nodes.
func ruled(at func(office) *harness.Node, rules string) office {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	o := up()
	Expect(at(o).Nft(rules)).To(Succeed())
	return o
}

func atFw(o office) *harness.Node     { return o.fw }
func atServer(o office) *harness.Node { return o.server }
func atClient(o office) *harness.Node { return o.client }

// lift takes all rules of a node away, as the control.
func lift(node *harness.Node) {
	GinkgoHelper()
	By("taking the rules away, as the control")
	Expect(node.Nft("flush ruleset")).To(Succeed())
}

var _ = Describe("a rule of nftables", func() {
	It("isolates as a chain's policy", func(ctx SpecContext) {
		o := ruled(atFw, "table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }")
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "policy inet filter forward", all...)

		lift(o.fw)
		o.reaches(ctx, all...)
	})

	It("isolates from a chain that others jump to", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter {
			chain closed {
				counter
				udp dport 53 drop comment "no dns"
				meta l4proto { tcp, icmp, icmpv6 } drop
			}
			chain forward {
				type filter hook forward priority 0; policy accept;
				jump closed
			}
		}`)
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "no dns", dns)
		results := isolated(ctx, o.client, o.server, "fw", evidence.Drop, "meta l4proto { icmp, tcp, ipv6-icmp } drop", icmp, web)
		Expect(results).To(HaveEach(HaveField("Cause.Rule.Chain", "closed")))

		lift(o.fw)
		o.reaches(ctx, all...)
	})

	It("isolates by a map of verdicts, and by a limit as often as is said to be enough", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0;
			udp dport vmap { 53 : drop, 54 : accept } comment "by a map"
			tcp dport 80 limit rate over 1/hour burst 1 packets drop comment "too many"
		}; }`)
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "by a map", dns)
		for range 2 {
			_, err := probes.Ask(ctx, o.client, server4, web.Within(silence))
			Expect(err).NotTo(HaveOccurred())
		}
		noVerdict(probes.BeIsolatedFrom(server4, web).WithContext(ctx), o.client, "too many", "Sampled(n)")
		Expect(o.client).To(probes.BeIsolatedFrom(server4, web).Sampled(2).At("fw").By("too many").WithContext(ctx))

		lift(o.fw)
		o.reaches(ctx, web, dns)
	})

	It("isolates with a word to the sender", func(ctx SpecContext) {
		const rule = "meta l4proto { icmp, tcp, udp, ipv6-icmp } reject with icmpx admin-prohibited"
		o := ruled(atFw, "table inet filter { chain forward { type filter hook forward priority 0; "+rule+"; }; }")
		for _, r := range isolated(ctx, o.client, o.server, "fw", evidence.Reject, rule, all...) {
			Expect(r).To(probes.BeRejectedBy("fw", o.server).By(rule))
			noVerdict(probes.BeRefusedBy(o.server), r, "was rejected at fw")
		}

		lift(o.fw)
		o.reaches(ctx, all...)
	})

	It("isolates with a reset, which is not the server's", func(ctx SpecContext) {
		const rule = "tcp dport 80 reject with tcp reset"
		o := ruled(atFw, "table inet filter { chain forward { type filter hook forward priority 0; "+rule+"; }; }")
		for _, r := range isolated(ctx, o.client, o.server, "fw", evidence.Reject, rule, web) {
			Expect(r).To(HaveField("Errno", unix.ECONNREFUSED))
			Expect(r).To(probes.BeRejectedBy("fw", o.server).By(rule))
			noVerdict(probes.BeRefusedBy(o.server), r, "was rejected at fw")
		}

		lift(o.fw)
		o.reaches(ctx, web)
	})

	It("isolates at the server's own input", func(ctx SpecContext) {
		o := ruled(atServer, `table inet filter { chain input { type filter hook input priority 0;
			icmp type echo-request drop comment "closed"
			icmpv6 type echo-request drop comment "closed"
			tcp dport 80 drop comment "closed"
			udp dport 53 drop comment "closed"
		}; }`)
		isolated(ctx, o.client, o.server, "server", evidence.Drop, "closed", all...)

		lift(o.server)
		o.reaches(ctx, all...)
	})

	DescribeTable("isolates one family, and not the other", func(ctx SpecContext, family string, closed, open netip.Addr) {
		o := ruled(atServer, "table "+family+` filter { chain input { type filter hook input priority 0;
			meta l4proto { tcp, udp } drop; }; }`)
		isolated(ctx, o.client, closed, "server", evidence.Drop, "meta l4proto { tcp, udp } drop", web, dns)
		Expect(o.client).To(probes.Reach(open, patient(web, dns)...).WithContext(ctx))

		lift(o.server)
		o.reaches(ctx, web, dns)
	},
		Entry("IPv4", "ip", server4, server6),
		Entry("IPv6", "ip6", server6, server4),
	)

	It("isolates at the client's own output", func(ctx SpecContext) {
		const rule = "meta l4proto { icmp, tcp, udp, ipv6-icmp } drop"
		o := ruled(atClient, "table inet filter { chain output { type filter hook output priority 0; icmpv6 type nd-neighbor-solicit accept; "+rule+"; }; }")
		results := isolated(ctx, o.client, o.server, "client", evidence.Drop, rule, icmp, dns)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Unsent), HaveField("Errno", unix.EPERM))))
		By("asking with TCP, whose sender hears nothing of it")
		results = isolated(ctx, o.client, o.server, "client", evidence.Drop, rule, web)
		Expect(results).To(HaveEach(HaveField("Outcome", probes.Silent)))

		lift(o.client)
		o.reaches(ctx, all...)
	})

	It("isolates by ending the answer", func(ctx SpecContext) {
		o := ruled(atFw, `table inet filter { chain forward { type filter hook forward priority 0;
			iifname "dmz" meta l4proto { icmp, icmpv6, tcp, udp } drop comment "nothing out of the dmz"
		}; }`)
		Expect(isolated(ctx, o.client, o.server, "fw", evidence.Drop, "nothing out of the dmz", all...)).To(onItsWay(evidence.Answer))

		lift(o.fw)
		o.reaches(ctx, all...)
	})

	It("isolates before connections are tracked", func(ctx SpecContext) {
		o := ruled(atFw, `table inet raw { chain prerouting { type filter hook prerouting priority raw;
			iifname "lan" icmpv6 type echo-request drop comment "early"
			iifname "lan" meta l4proto { icmp, tcp, udp } drop comment "early"
		}; }`)
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "early", all...)

		lift(o.fw)
		o.reaches(ctx, all...)
	})
})
