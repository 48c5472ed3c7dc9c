package policy_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// office is a firewall between the desks of an office and its servers, whose rules are these.
func office(rules string) *harness.Lab {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("desk", lan)
	office.Host("site", dmz)
	office.Router("fw", lan, dmz).Nft(rules)
	return harness.Up(GinkgoTB(), office)
}

// grown is a ruleset as it comes about: rules were added where there was room.
const grown = `
table inet filter {
	chain guests {
		counter accept comment "guests"
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related counter accept comment "answers"
		iifname "lan" tcp dport 80 counter accept comment "web"
		iifname "lan" tcp dport 1-1023 counter drop comment "no services"
		iifname "lan" tcp dport 443 counter accept comment "web with TLS"
		iifname "lan" udp dport 53 counter accept comment "names"
		ip daddr 127.0.0.0/8 counter drop comment "no loopback"
		ip daddr 198.51.100.0/24 counter drop comment "no old site"
	}
}`

var _ = Describe("every rule of a firewall", func() {
	It("is decided by a packet, or it is told why none decides it", func(ctx SpecContext) {
		report, err := policy.Cover(ctx, office(grown), "fw")
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("the report", report.String(), ReportEntryVisibilityFailureOrVerbose)

		fates := map[string]policy.Fate{}
		for _, rule := range report.Rules {
			fates[rule.Comment] = rule.Fate
		}
		Expect(fates).To(Equal(map[string]policy.Fate{
			"guests": policy.Unreferenced, "answers": policy.Decided, "web": policy.Decided, "no services": policy.Decided,
			"web with TLS": policy.Shadowed, "names": policy.Decided, "no loopback": policy.Unreachable, "no old site": policy.Needs, "": policy.Decided,
		}))
		Expect(report.Of(policy.Shadowed)[0].String()).To(HaveSuffix(
			`: shadowed: by rule 3 of inet filter forward (iifname "lan" tcp dport 1-1023 counter drop comment "no services")`))
	})

	It("has the fate that real connections show", func(ctx SpecContext) {
		lab := office(grown)
		report, err := policy.Cover(ctx, lab, "fw")
		Expect(err).NotTo(HaveOccurred())
		Expect(packets(lab.Node("fw"))).To(HaveEach(BeZero()), "the lab is as it was")

		desk, site := lab.Node("desk"), lab.Node("site")
		probes.Serve(GinkgoTB(), site, probes.TCP(80), probes.TCP(443))
		Expect(dial(ctx, desk, netip.AddrPortFrom(site.Addr(), 80), 25*time.Second)).To(Succeed())
		Expect(dial(ctx, desk, netip.AddrPortFrom(site.Addr(), 443), 100*time.Millisecond)).NotTo(Succeed())
		counts := packets(lab.Node("fw"))
		Expect(counts).To(HaveKeyWithValue("web", BeNumerically(">", 0)))
		Expect(counts).To(HaveKeyWithValue("no services", BeNumerically(">", 0)))
		for _, dead := range report.Of(policy.Shadowed, policy.Unreferenced, policy.Unreachable) {
			Expect(counts).To(HaveKeyWithValue(dead.Comment, BeZero()), dead.String())
		}
	})
})

// doubled has a rule that another one stands for.
const doubled = `
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept comment "answers"
		iifname "lan" tcp dport 80 accept comment "web"
		iifname "lan" tcp dport { 80, 443 } accept comment "web with TLS"
		iifname "lan" tcp dport 25 accept comment "mail"
	}
}`

var _ = Describe("a rule that is taken away", func() {
	DescribeTable("changes something, unless it is redundant", func(ctx SpecContext, comment string, fate policy.Fate, port uint16) {
		lab := office(doubled)
		report, err := policy.Cover(ctx, lab, "fw")
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("the report", report.String(), ReportEntryVisibilityFailureOrVerbose)
		at := slices.IndexFunc(report.Rules, func(r policy.Rule) bool { return r.Comment == comment })
		Expect(report.Rules[at].Fate).To(Equal(fate), report.Rules[at].String())

		desk, site := lab.Node("desk"), lab.Node("site")
		probes.Serve(GinkgoTB(), site, probes.TCP(port))
		to := netip.AddrPortFrom(site.Addr(), port)
		Expect(dial(ctx, desk, to, soon)).To(Succeed())
		var rest []string
		for line := range strings.Lines(doubled) {
			if !strings.Contains(line, `"`+comment+`"`) {
				rest = append(rest, line)
			}
		}
		Expect(lab.Node("fw").Nft("flush ruleset\n" + strings.Join(rest, ""))).To(Succeed())
		if fate == policy.Redundant {
			Expect(report.Rules[at].Without.String()).To(HavePrefix(`let through by rule 3 of inet filter forward`))
			Expect(dial(ctx, desk, to, soon)).To(Succeed())
			return
		}
		Expect(report.Rules[at].Without.String()).To(Equal(`dropped by policy drop of inet filter forward`))
		Expect(dial(ctx, desk, to, silence)).NotTo(Succeed())
	},
		Entry("as another rule stands for it", "web", policy.Redundant, uint16(80)),
		Entry("as it alone lets something through", "web with TLS", policy.Decided, uint16(443)),
		Entry("as it alone lets something else through", "mail", policy.Decided, uint16(25)),
		Entry("as it alone lets answers through", "answers", policy.Decided, uint16(80)),
	)
})

// dial connects once, by a plain socket.
func dial(ctx context.Context, from *harness.Node, to netip.AddrPort, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to)
	if err != nil {
		return err
	}
	return conn.Close()
}

// packets are what the rules of a node counted, by their comments.
func packets(node *harness.Node) map[string]uint64 {
	GinkgoHelper()
	counts := map[string]uint64{}
	Expect(node.Nftables(func(nft *nftables.Conn) error {
		chains, err := nft.ListChains()
		if err != nil {
			return err
		}
		for _, chain := range chains {
			rules, err := nft.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			for _, rule := range rules {
				comment, _ := userdata.GetString(rule.UserData, userdata.TypeComment)
				for _, e := range rule.Exprs {
					if counter, is := e.(*expr.Counter); is {
						counts[comment] += counter.Packets
					}
				}
			}
		}
		return nil
	})).To(Succeed())
	return counts
}

var _ = Describe("the report of a firewall's rules", func() {
	It("suggests the probe of each rule that no test has tried, and is told in a pull request", func(ctx SpecContext) {
		report, err := policy.Cover(ctx, office(doubled), "fw")
		Expect(err).NotTo(HaveOccurred())
		tried := filepath.Join(GinkgoT().TempDir(), "coverage")
		Expect(os.WriteFile(tried, []byte("decided\toffice\tfw\tinet\tfilter\tforward\t1\tiifname \"lan\" tcp dport 25 accept comment \"mail\"\n"), 0o600)).To(Succeed())

		source, err := report.Suggest("policy_test", tried)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("the source", source, ReportEntryVisibilityFailureOrVerbose)
		Expect(source).To(ContainSubstring(`expect(lab.Node("desk")).To(probes.Reach(netip.MustParseAddr("10.0.2.1"), probes.TCP(443)))`))
		Expect(source).NotTo(ContainSubstring("mail"))
		Expect(report.Markdown()).To(ContainSubstring(`| redundant |`))
		Expect(report.ExitCode()).To(Equal(1))
	})
})
