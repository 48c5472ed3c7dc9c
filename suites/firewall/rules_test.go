package firewall_test

import (
	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const stateful = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		iifname "lan" tcp dport 80 accept
		iifname "lan" udp dport 53 accept
		iifname "lan" meta l4proto { icmp, icmpv6 } accept
	}
}`

// accept puts a rule before the others of the forward chain.
func accept(b box, rule string) {
	GinkgoHelper()
	Expect(b.fw.Nft("insert rule inet filter forward " + rule)).To(Succeed())
}

var _ = Describe("the rules", func() {
	It("let allowed traffic pass, and forbidden not", func(ctx SpecContext) {
		b := up(stateful)
		probes.Serve(GinkgoTB(), b.wanPC, web, dns, ssh)
		Expect(ask(ctx, b.lan, b.wanPC, web)).To(answeredBy("inet"))
		Expect(ask(ctx, b.lan, b.wanPC, dns)).To(answeredBy("inet"))
		Expect(ask(ctx, b.lan, b.wanPC, ssh.Within(quick))).To(outcome(probes.Silent))

		By("allowing it, as the control")
		accept(b, "tcp dport 22 accept")
		Expect(ask(ctx, b.lan, b.wanPC, ssh)).To(answeredBy("inet"))
	})

	It("let answers back in, and nothing that nobody asked for", func(ctx SpecContext) {
		b := up(stateful)
		probes.Serve(GinkgoTB(), b.lan, web)
		Expect(ask(ctx, b.lan, b.wanPC, probes.ICMP())).To(outcome(probes.Answered), "its answers are let in")
		Expect(ask(ctx, b.wanPC, b.lan, probes.ICMP().Within(quick))).To(outcome(probes.Silent))
		Expect(ask(ctx, b.wanPC, b.lan, web.Within(quick))).To(outcome(probes.Silent))

		By("allowing it, as the control")
		accept(b, `iifname "wan" accept`)
		Expect(ask(ctx, b.wanPC, b.lan, probes.ICMP())).To(outcome(probes.Answered))
		Expect(ask(ctx, b.wanPC, b.lan, web)).To(answeredBy("desk"))
	})

	It("say drop, reject and reset, each another outcome", func(ctx SpecContext) {
		b := up(`table inet filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				tcp dport 22 drop
				tcp dport 25 reject with icmpx admin-prohibited
				tcp dport 80 reject with tcp reset
			}
		}`)
		probes.Serve(GinkgoTB(), b.wanPC, ssh, mail, web)
		Expect(ask(ctx, b.lan, b.wanPC, ssh.Within(quick))).To(outcome(probes.Silent))
		rejected := ask(ctx, b.lan, b.wanPC, mail)
		// The box has the sender's address as well, so only the address is known.
		Expect(rejected).To(HaveEach(And(HaveField("Outcome", probes.Rejected), HaveField("Sender", BeElementOf(box4, box6)))))
		reset := ask(ctx, b.lan, b.wanPC, web)
		Expect(reset).To(HaveEach(And(HaveField("Outcome", probes.Refused), HaveField("Proven", false))))

		By("taking the rules away, as the control")
		Expect(b.fw.Nft("flush chain inet filter forward")).To(Succeed())
		for _, p := range []probes.Probe{ssh, mail, web} {
			Expect(ask(ctx, b.lan, b.wanPC, p)).To(answeredBy("inet"))
		}
	})

	It("in one namespace change nothing in the other", func(ctx SpecContext) {
		b := up("")
		harness.Require(GinkgoTB(), harness.NftTool)
		probes.Serve(GinkgoTB(), b.box, ssh)
		probes.Serve(GinkgoTB(), b.fw, ssh)
		closed := "table inet closed { chain input { type filter hook input priority 0; policy drop; }; }"

		Expect(b.fw.Nft(closed)).To(Succeed())
		Expect(ask(ctx, b.lan, box4, ssh.Within(quick))).To(outcome(probes.Silent))
		Expect(ask(ctx, b.admin, box4, ssh)).To(answeredBy("box"))
		Expect(tables(b.fw)).To(ConsistOf("closed"))
		Expect(tables(b.box)).To(BeEmpty())

		Expect(b.fw.Nft("delete table inet closed")).To(Succeed())
		Expect(b.box.Nft(closed)).To(Succeed())
		Expect(ask(ctx, b.lan, box4, ssh)).To(answeredBy("fw"))
		Expect(ask(ctx, b.admin, box4, ssh.Within(quick))).To(outcome(probes.Silent))
	})

	It("change the matrix when they change", func(ctx SpecContext) {
		b := up("table inet filter { chain forward { type filter hook forward priority 0; policy accept; }; }")
		nodes := []*harness.Node{b.lan, b.fw, b.wanPC}
		grid := probes.Grid{From: nodes, Probes: []probes.Probe{probes.ICMP()}}
		for _, node := range nodes {
			grid.To = append(grid.To, node)
		}
		matrix, err := grid.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("before", matrix.String())
		Expect(matrix).To(probes.MatchMatrix(`
			      desk  fw  inet
			desk   .    ok   ok
			fw    ok     .   ok
			inet  ok    ok    .
		`))
		Expect(b.fw.Nft(`add rule inet filter forward iifname "wan" ct state new reject with icmpx admin-prohibited`)).To(Succeed())
		matrix, err = grid.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("after", matrix.String())
		Expect(matrix).To(probes.MatchMatrix(`
			      desk         fw  inet
			desk   .           ok   ok
			fw    ok            .   ok
			inet  rejected@fw  ok    .
		`))
	})
})

// tables are the nftables tables of a node.
func tables(node *harness.Node) (names []string) {
	GinkgoHelper()
	Expect(node.Nftables(func(conn *nftables.Conn) error {
		list, err := conn.ListTables()
		for _, table := range list {
			names = append(names, table.Name)
		}
		return err
	})).To(Succeed())
	return names
}
