package policy_test

import (
	"net/netip"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// golden is what the firewall does whose rules others change.
const golden = `
	lan -> lan:
		established, related: accepted by "answers"
		tcp 20-21, 23-25: accepted by "files and mail"
		tcp 22: dropped by "no ssh"
		tcp 8080 in IPv4: translated to 10.0.2.1:80 by "proxy", accepted by "web"
		all else: dropped by policy drop of inet filter forward
	lan -> dmz:
		established, related: accepted by "answers"
		tcp 20-21, 23-25: accepted by "files and mail"
		tcp 22: dropped by "no ssh"
		tcp 80, 443 in IPv6: accepted by "web6"
		tcp 80, 443 to 10.0.2.0/25: accepted by "web"
		tcp 8080 in IPv4: translated to 10.0.2.1:80 by "proxy", accepted by "web"
		all else: dropped by policy drop of inet filter forward
	lan -> fw:
		tcp 8080 in IPv4: translated to 10.0.2.1:80 by "proxy", accepted by "web"
		all else: accepted, no rule asked
	dmz -> lan, dmz:
		established, related: accepted by "answers"...
		all else: dropped by policy drop of inet filter forward
	dmz -> fw:
		all: accepted, no rule asked
	fw -> lan, dmz, fw:
		all: accepted, no rule asked
`

// policyOf is what the rules of a lab's firewall do.
func policyOf(ctx SpecContext, lab *harness.Lab, options ...policy.Option) policy.Policy {
	GinkgoHelper()
	p, err := policy.Of(ctx, lab, "fw", options...)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("the policy", p.String(), ReportEntryVisibilityFailureOrVerbose)
	return p
}

var _ = Describe("what a firewall does", func() {
	It("is as the test has it, and as real connections show", func(ctx SpecContext) {
		lab := edited()
		Expect(policyOf(ctx, lab)).To(policy.MatchPolicy(golden))

		desk := lab.Node("desk")
		for text, opens := range map[string]bool{
			"10.0.2.1:25": true, "10.0.2.1:80": true, "[fd00:2::1]:80": true, "10.0.2.1:8080": true,
			"10.0.2.1:22": false, "10.0.2.200:80": false, "10.0.2.1:9999": false, "[fd00:2::1]:8080": false,
		} {
			to := netip.MustParseAddrPort(text)
			within := soon
			if !opens {
				within = silence
			}
			Expect(dial(ctx, desk, to, within) == nil).To(Equal(opens), "a connection to %s", to)
		}
	})

	It("is another when a rule is, and the failure says which line, and by which packet", func(ctx SpecContext) {
		lab := edited()
		Expect(lab.Node("fw").Nft("flush ruleset\n" + changed("10.0.2.0/25", "10.0.2.0/24"))).To(Succeed())
		p := policyOf(ctx, lab)
		matcher := policy.MatchPolicy(golden)
		Expect(matcher.Match(p)).To(BeFalse())
		_, differing, _ := strings.Cut(matcher.FailureMessage(p), "\ndiffering\n")
		Expect(differing).To(And(
			HavePrefix("  lan -> dmz:\n    expected: tcp 80, 443 to 10.0.2.0/25: accepted by \"web\"\n    observed: tcp 80, 443 in IPv4: accepted by \"web\"\n      so was: tcp 10.0.1.1:"),
			ContainSubstring("If it is meant to, the lines that are observed belong into the test"),
			Not(ContainSubstring("dmz -> lan")),
		))
	})

	It("is told of a bridge as one zone, whichever of its ports packets come by", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("zones")
		inside := network.Wire("inside", "10.0.3.0/24", "fd00:3::/64")
		one, two := network.Wire("one", "10.0.1.0/24", "fd00:1::/64"), network.Wire("two")
		network.Host("far", inside)
		network.Host("first", one)
		network.Host("second", two)
		network.Router("fw", inside, one.As("eth1"), two.As("eth2")).Bridge("br-lan", one, two)
		lab := harness.Up(GinkgoTB(), network)
		Expect(lab.Node("fw").Nft(`
			table inet filter {
				chain forward {
					type filter hook forward priority 0; policy drop;
					iifname "inside" oifname "br-lan" tcp dport 80 accept comment "web"
					iifname "br-lan" oifname "inside" udp dport 53 accept comment "names"
				}
			}`)).To(Succeed())
		Expect(policyOf(ctx, lab)).To(policy.MatchPolicy(`
			inside -> br-lan:
				tcp 80: accepted by "web"
				all else: dropped by policy drop of inet filter forward
			br-lan -> inside:
				udp 53: accepted by "names"
				all else: dropped by policy drop of inet filter forward
			inside -> inside:
				all: dropped by policy drop of inet filter forward
			br-lan -> br-lan:
				all: dropped by policy drop of inet filter forward
			... -> fw:
				all: accepted, no rule asked
			fw -> ...:
				all: accepted, no rule asked
		`))
	})
})
