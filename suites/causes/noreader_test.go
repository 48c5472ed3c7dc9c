package causes_test

import (
	"regexp"
	"strconv"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// queuedBy is how many packets the rules of fw have given to queues, as the program counts them.
func (o office) queuedBy(program string) (packets int) {
	GinkgoHelper()
	text, err := o.fw.Command(program+"-save", "-c", "-t", "mangle").Output()
	Expect(err).NotTo(HaveOccurred())
	for _, found := range regexp.MustCompile(`(?m)^\[(\d+):\d+\] .*-j NFQUEUE`).FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(found[1]))
		Expect(err).NotTo(HaveOccurred())
		packets += n
	}
	return packets
}

// readQueue is a program that has bound itself to a queue, and keeps what it gets.
func readQueue(node *harness.Node, number uint16) {
	GinkgoHelper()
	fd := inNode(node, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
	DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
	const config = unix.NFNL_SUBSYS_QUEUE<<8 | 2                                  // NFQNL_MSG_CONFIG
	configure(fd, config, unix.AF_UNSPEC, number, []byte{8, 0, 1, 0, 1, 0, 0, 0}) // NFQA_CFG_CMD: bind
}

var _ = Describe("a queue for a program", func() {
	DescribeTable("that nobody reads is named with the rule, and does not isolate", func(ctx SpecContext, program, chain string, v6 bool) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		closed, open := server4, server6
		if v6 {
			closed, open = server6, server4
		}
		judge := echo(ctx, o.server, anywhere(7))
		o.iptables(program, "-t", "mangle", "-A", chain, "-p", "udp", "-j", "NFQUEUE", "--queue-num", "7")
		for _, r := range broken(ctx, o.client, closed, "fw", evidence.NoReader, dns, probes.UDP(7)) {
			Expect(r.Outcome).To(Equal(probes.Silent))
			Expect(r.Cause.Detail).To(And(MatchRegexp("queue[- ]num 7"), HaveSuffix("gives it to queue 7, which no program reads")))
			Expect(r.Cause.Leg).To(Equal(evidence.Request))
		}
		Expect(o.queuedBy(program)).To(BeNumerically(">=", 2), "the judge: the rule's own count")
		Expect(judge.came()).To(BeZero(), "the judge: nothing arrived")
		Expect(o.client).To(probes.Reach(open, patient(dns)...).WithContext(ctx), "the other family has no such rule")

		By("passing what nobody reads, as the control")
		o.iptables(program, "-t", "mangle", "-F", chain)
		o.iptables(program, "-t", "mangle", "-A", chain, "-p", "udp", "-j", "NFQUEUE", "--queue-num", "7", "--queue-bypass")
		o.reaches(ctx, dns)
		Expect(o.queuedBy(program)).To(BeNumerically(">", 0), "the judge: it met the rule")
	},
		Entry("as it comes in", "iptables-nft", "PREROUTING", false),
		Entry("on its way", "iptables-nft", "FORWARD", false),
		Entry("over IPv6", "ip6tables-nft", "FORWARD", true),
		Entry("of the old kind, as it comes in", "iptables-legacy", "PREROUTING", false),
		Entry("of the old kind, on its way", "iptables-legacy", "FORWARD", false),
		Entry("of the old kind, over IPv6", "ip6tables-legacy", "POSTROUTING", true),
	)

	DescribeTable("that a program reads is no verdict, since it may do anything", func(ctx SpecContext, program string) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		o.iptables(program, "-t", "mangle", "-A", "FORWARD", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "7")
		readQueue(o.fw, 7)
		inconclusive(ctx, o.client, server4, "gave it to queue 7; what the program did with it that reads there is not known", dns.Within(silence))
		Expect(o.queuedBy(program)).To(BeNumerically(">", 0), "the judge: the rule's own count")
	},
		Entry("by nftables", "iptables-nft"),
		Entry("of the old kind", "iptables-legacy"),
	)

	It("that nobody reads is named of the answer, also at the target itself", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Tool("iptables-nft"))
		o := warm(ctx)
		out, err := o.server.Command("iptables-nft", "-t", "mangle", "-A", "OUTPUT", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "9").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		for _, r := range watch(ctx, o.client, server4, dns) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NoReader), HaveField("Node", "server"), HaveField("Leg", evidence.Answer))), "%s", causeOf(r))
			noVerdict(probes.BeUnansweredBy(server4), r, "no policy isolates here", `Because("noreader")`)
		}
		Expect(countedBy(o.server)).To(BeNumerically(">", 0), "the judge: the rule's own count")
		lift(o.server)
		o.reaches(ctx, all...)
	})
})
