package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// iptables runs one of the iptables programs in fw, for IPv4 or IPv6.
func (o office) iptables(program string, args ...string) {
	GinkgoHelper()
	out, err := o.fw.Command(program, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}

var _ = Describe("a rule of iptables", func() {
	DescribeTable("isolates, and its comment names it", func(ctx SpecContext, program string, v6 bool, table string) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		o.iptables(program, "-A", "FORWARD", "-p", "tcp", "--dport", "80", "-m", "comment", "--comment", "no web", "-j", "DROP")
		o.iptables(program, "-A", "FORWARD", "-p", "udp", "--dport", "53", "-j", "DROP")
		closed, open := server4, server6
		if v6 {
			closed, open = server6, server4
		}
		isolated(ctx, o.client, closed, "fw", evidence.Drop, "no web", web)
		results := isolated(ctx, o.client, closed, "fw", evidence.Drop, "", dns)
		Expect(results).To(HaveEach(HaveField("Cause.Rule", HaveValue(And(
			HaveField("Family", table), HaveField("Chain", "FORWARD"), HaveField("Words()", HavePrefix("udp dport 53")))))))
		Expect(o.client).To(probes.Reach(open, patient(web, dns)...).WithContext(ctx), "the other family has no such rule")

		By("taking the rules away, as the control")
		o.iptables(program, "-F", "FORWARD")
		o.reaches(ctx, web, dns)
	},
		Entry("for IPv4", "iptables-nft", false, "ip"),
		Entry("for IPv6", "ip6tables-nft", true, "ip6"),
	)

	DescribeTable("isolates as a chain's policy", func(ctx SpecContext, program string, v6 bool, policy string) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		o.iptables(program, "-P", "FORWARD", "DROP")
		closed, open := server4, server6
		if v6 {
			closed, open = server6, server4
		}
		isolated(ctx, o.client, closed, "fw", evidence.Drop, policy, all...)
		Expect(o.client).To(probes.Reach(open, patient(all...)...).WithContext(ctx), "the other family has no such policy")

		By("accepting, as the control")
		o.iptables(program, "-P", "FORWARD", "ACCEPT")
		o.reaches(ctx, all...)
	},
		Entry("for IPv4", "iptables-nft", false, "policy ip filter FORWARD"),
		Entry("for IPv6", "ip6tables-nft", true, "policy ip6 filter FORWARD"),
	)

	DescribeTable("rejects", func(ctx SpecContext, program string, v6 bool) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		o.iptables(program, "-A", "FORWARD", "-p", "tcp", "-m", "comment", "--comment", "hang up", "-j", "REJECT", "--reject-with", "tcp-reset")
		o.iptables(program, "-A", "FORWARD", "-p", "udp", "-m", "comment", "--comment", "say no", "-j", "REJECT")
		closed := server4
		if v6 {
			closed = server6
		}
		isolated(ctx, o.client, closed, "fw", evidence.Reject, "hang up", web)
		isolated(ctx, o.client, closed, "fw", evidence.Reject, "say no", dns)
		Expect(o.client).To(probes.BeRejectedBy("fw", closed, dns).By("say no").WithContext(ctx))

		By("taking the rules away, as the control")
		o.iptables(program, "-F", "FORWARD")
		o.reaches(ctx, web, dns)
	},
		Entry("for IPv4", "iptables-nft", false),
		Entry("for IPv6", "ip6tables-nft", true),
	)

	DescribeTable("of the old kind isolates as well", func(ctx SpecContext, program string, v6 bool) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		o.iptables(program, "-A", "FORWARD", "-p", "udp", "--dport", "53", "-m", "comment", "--comment", "no names", "-j", "DROP")
		o.iptables(program, "-A", "FORWARD", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
		closed, open := server4, server6
		if v6 {
			closed, open = server6, server4
		}
		isolated(ctx, o.client, closed, "fw", evidence.Drop, "no names", dns)
		Expect(o.client).To(probes.BeRejectedBy("fw", closed, web).By("-p tcp -j REJECT --reject-with tcp-reset").WithContext(ctx))
		Expect(o.client).To(probes.Reach(open, patient(dns, web)...).WithContext(ctx), "the other family has no such rule")

		By("taking the rules away and closing the chain")
		o.iptables(program, "-F", "FORWARD")
		o.iptables(program, "-P", "FORWARD", "DROP")
		isolated(ctx, o.client, closed, "fw", evidence.Drop, "policy "+program+" filter FORWARD", icmp, web, dns)

		By("opening it, as the control")
		o.iptables(program, "-P", "FORWARD", "ACCEPT")
		o.reaches(ctx, all...)
	},
		Entry("for IPv4", "iptables-legacy", false),
		Entry("for IPv6", "ip6tables-legacy", true),
	)
})
