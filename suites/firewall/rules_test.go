package firewall_test

import (
	"strings"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	established = "ct state established,related accept"
	closed      = "policy inet filter forward"
	stateful    = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		` + established + `
		iifname "lan" tcp dport 80 accept
		iifname "lan" udp dport 53 accept
		iifname "lan" meta l4proto { icmp, icmpv6 } accept
	}
}`
)

// accept puts a rule before the others of the forward chain.
func accept(fw *harness.Node, rule string) {
	GinkgoHelper()
	Expect(fw.Nft("insert rule inet filter forward " + rule)).To(Succeed())
}

var _ = Describe("the rules", func() {
	It("let allowed traffic pass, and forbidden not", func(ctx SpecContext) {
		o := up(stateful)
		probes.Serve(GinkgoTB(), o.inet, web, dns, ssh)
		for _, p := range []probes.Probe{web, dns} {
			Expect(ask(ctx, o.desk, o.inet, p)).To(answeredBy("inet"))
		}
		Expect(o.desk).To(probes.BeIsolatedFrom(o.inet, ssh).At("fw").By(closed).WithContext(ctx))

		By("allowing it, as the control")
		accept(o.fw, "tcp dport 22 accept")
		Expect(ask(ctx, o.desk, o.inet, ssh)).To(answeredBy("inet"))
	})

	It("let nothing in that nobody asked for", func(ctx SpecContext) {
		o := up(stateful)
		probes.Serve(GinkgoTB(), o.desk, web)
		Expect(o.inet).To(probes.BeIsolatedFrom(o.desk, probes.ICMP(), web).At("fw").By(closed).WithContext(ctx))

		By("allowing it, as the control")
		accept(o.fw, `iifname "wan" accept`)
		Expect(ask(ctx, o.inet, o.desk, probes.ICMP())).To(outcome(probes.Answered))
		Expect(ask(ctx, o.inet, o.desk, web)).To(answeredBy("desk"))
	})

	It("let answers in because they know who asked", func(ctx SpecContext) {
		o := up(strings.Replace(stateful, established, "", 1))
		probes.Serve(GinkgoTB(), o.inet, web, dns)
		asked := []probes.Probe{probes.ICMP(), web, dns}
		for _, p := range asked {
			Expect(o.desk).To(probes.BeUnansweredBy(o.inet, p).At("fw").By(closed).WithContext(ctx))
			Expect(o.desk).NotTo(probes.BeIsolatedFrom(o.inet, p).WithContext(ctx), "the request arrived")
		}

		By("letting them know, as the control")
		accept(o.fw, established)
		for _, p := range asked {
			Expect(ask(ctx, o.desk, o.inet, p)).To(answeredBy("inet"))
		}
	})

	It("say drop, reject and reset, each another outcome", func(ctx SpecContext) {
		o := up(`table inet filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				tcp dport 22 drop
				tcp dport 25 reject with icmpx admin-prohibited
				tcp dport 80 reject with tcp reset
			}
		}`)
		probes.Serve(GinkgoTB(), o.inet, ssh, mail, web)
		Expect(o.desk).To(probes.BeIsolatedFrom(o.inet, ssh).At("fw").By("tcp dport 22 drop").WithContext(ctx))
		Expect(o.desk).To(probes.BeRejectedBy("fw", o.inet, mail).WithContext(ctx))
		Expect(o.desk).To(probes.BeRejectedBy("fw", o.inet, web).By("tcp dport 80 reject with tcp reset").WithContext(ctx))

		By("asking without a watch, which knows less")
		rejected := ask(ctx, o.desk, o.inet, mail)
		// The box has the sender's address as well, so only the address is known.
		Expect(rejected).To(HaveEach(And(HaveField("Outcome", probes.Rejected), HaveField("Sender", BeElementOf(both)))))
		reset := ask(ctx, o.desk, o.inet, web)
		Expect(reset).To(HaveEach(And(HaveField("Outcome", probes.Refused), HaveField("Proven", false))))

		By("taking the rules away, as the control")
		Expect(o.fw.Nft("flush chain inet filter forward")).To(Succeed())
		for _, p := range []probes.Probe{ssh, mail, web} {
			Expect(ask(ctx, o.desk, o.inet, p)).To(answeredBy("inet"))
		}
	})

	It("in one namespace change nothing in the other", func(ctx SpecContext) {
		o := up("")
		harness.Require(GinkgoTB(), harness.NftTool)
		probes.Serve(GinkgoTB(), o.box, ssh)
		probes.Serve(GinkgoTB(), o.fw, ssh)
		// The two ends of each namespace: who asks it, and it.
		type side struct{ asks, is *harness.Node }
		management, service := side{o.admin, o.box}, side{o.desk, o.fw}
		for _, s := range []struct{ closed, open side }{{service, management}, {management, service}} {
			Expect(s.closed.is.Nft("table inet closed { chain input { type filter hook input priority 0; tcp dport 22 drop; }; }")).To(Succeed())
			Expect(tables(s.closed.is)).To(ConsistOf("closed"))
			Expect(tables(s.open.is)).To(BeEmpty())
			for _, addr := range both {
				Expect(s.closed.asks).To(probes.BeIsolatedFrom(addr, ssh).At(s.closed.is.Name()).By("tcp dport 22 drop").WithContext(ctx))
				Expect(ask(ctx, s.open.asks, addr, ssh)).To(answeredBy(s.open.is.Name()))
			}

			By("taking the rules away, as the control")
			Expect(s.closed.is.Nft("delete table inet closed")).To(Succeed())
			for _, addr := range both {
				Expect(ask(ctx, s.closed.asks, addr, ssh)).To(answeredBy(s.closed.is.Name()))
			}
		}
	})

	It("change the matrix when they change", func(ctx SpecContext) {
		o := up("table inet filter { chain forward { type filter hook forward priority 0; policy accept; }; }")
		nodes := []*harness.Node{o.desk, o.fw, o.inet}
		grid := probes.Grid{From: nodes, Probes: []probes.Probe{probes.ICMP()}}
		for _, node := range nodes {
			grid.To = append(grid.To, node)
		}
		survey := func(when string) *probes.Matrix {
			GinkgoHelper()
			matrix, err := grid.Survey(ctx)
			Expect(err).NotTo(HaveOccurred())
			AddReportEntry(when, matrix.String())
			return matrix
		}
		open := probes.MatchMatrix(`
			      desk  fw  inet
			desk   .    ok   ok
			fw    ok     .   ok
			inet  ok    ok    .
		`)
		Expect(survey("before")).To(open)
		Expect(o.fw.Nft(`add rule inet filter forward iifname "wan" ct state new reject with icmpx admin-prohibited`)).To(Succeed())
		Expect(survey("with the rule")).To(probes.MatchMatrix(`
			      desk         fw  inet
			desk   .           ok   ok
			fw    ok            .   ok
			inet  rejected@fw  ok    .
		`))
		Expect(o.fw.Nft("flush chain inet filter forward")).To(Succeed())
		Expect(survey("without it again")).To(open)
	})
})

// tables are the nftables tables of a node.
func tables(node *harness.Node) (names []string) {
	GinkgoHelper()
	Expect(node.Nftables(func(conn *nftables.Conn) error {
		list, err := conn.ListTables()
		for _, table := range list {
			if !strings.HasPrefix(table.Name, "nstest-") { // the watch's own
				names = append(names, table.Name)
			}
		}
		return err
	})).To(Succeed())
	return names
}
