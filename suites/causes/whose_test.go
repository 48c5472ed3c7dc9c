package causes_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Of what both answer, the client gets the answer of the firewall: a copy of the request goes
// to the server, whose answer dies.
const (
	copied      = `table FAMILY copy { chain pre { type filter hook prerouting priority -300; iifname "lan" dup to SERVER device "dmz"; }; }`
	answeredFor = `table FAMILY nat { chain pre { type nat hook prerouting priority -100; iifname "lan" udp dport 53 redirect to :5353; iifname "lan" meta l4proto ICMP redirect; }; }`
	noneBack    = `table FAMILY cut { chain forward { type filter hook forward priority 0; iifname "dmz" udp sport 53 counter drop; iifname "dmz" meta l4proto ICMP counter drop; }; }`
)

var _ = Describe("whose an answer is", func() {
	// services are plain ones at both nodes, which send back what they get.
	services := func(ctx SpecContext, f farm) (at map[*harness.Node]*plain) {
		at = map[*harness.Node]*plain{}
		for _, addr := range []string{"10.0.2.1:53", "[fd00:2::1]:53"} {
			at[f.server] = echo(ctx, f.server, netip.MustParseAddrPort(addr))
		}
		for _, addr := range []string{"10.0.1.2:5353", "[fd00:1::2]:5353"} {
			at[f.fw] = echo(ctx, f.fw, netip.MustParseAddrPort(addr))
		}
		return at
	}
	cell := func(ctx SpecContext, f farm, p probes.Probe, want string) {
		GinkgoHelper()
		for _, watched := range []bool{true, false} {
			grid := probes.Grid{From: []*harness.Node{f.client}, To: []probes.Target{f.server}, Probes: []probes.Probe{p}, Watch: watched}
			matrix, err := grid.Survey(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(matrix.Cell("client", "server")).To(Equal(want), "%s, watched: %t", p, watched)
		}
	}

	It("is told by the very one that came, where the target's dies on its way", func(ctx SpecContext) {
		f := unserved(bothFamilies(copied + "\n" + answeredFor + "\n" + noneBack))
		at := services(ctx, f)
		for _, p := range []probes.Probe{dns, icmp} {
			for _, r := range watch(ctx, f.client, f.server, p) {
				Expect(r).To(And(HaveField("Outcome", probes.Answered), HaveField("By", "fw")), "%s", r)
			}
			noVerdict(probes.Reach(f.server, p).WithContext(ctx), f.client, "was answered by fw, not by server")
			cell(ctx, f, p, "wrong@fw")
		}
		Expect(at[f.server].came()).To(BeNumerically(">", 0), "it was asked as well")
		Expect(at[f.fw].came()).To(BeNumerically(">", 0))

		By("having the firewall say nothing, and let the server's pass")
		lift(f.fw)
		f.rule(bothFamilies(copied))
		f.reaches(ctx, dns, icmp)
		cell(ctx, f, dns, "ok")
		cell(ctx, f, icmp, "ok")
	}, SpecTimeout(time.Minute))
})
