package policy_test

import (
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// reviewed is the ruleset that somebody changes.
const reviewed = `
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept comment "answers"
		iifname "lan" tcp dport 22 drop comment "no ssh"
		iifname "lan" tcp dport 20-25 accept comment "files and mail"
		iifname "lan" ip daddr 10.0.2.0/25 tcp dport { 80, 443 } accept comment "web"
		iifname "lan" ip6 daddr fd00:2::/64 tcp dport { 80, 443 } accept comment "web6"
	}
}
table ip nat {
	chain prerouting {
		type nat hook prerouting priority -100;
		iifname "lan" tcp dport 8080 dnat to 10.0.2.1:80 comment "proxy"
	}
}
`

const (
	noSSH = `		iifname "lan" tcp dport 22 drop comment "no ssh"` + "\n"
	files = `		iifname "lan" tcp dport 20-25 accept comment "files and mail"` + "\n"
)

// changed is the ruleset with one text for another.
func changed(from, to string) string {
	GinkgoHelper()
	Expect(strings.Count(reviewed, from)).To(Equal(1), from)
	return strings.Replace(reviewed, from, to, 1)
}

// edited is an office whose site has two addresses of each half of its prefix, and services.
func edited() *harness.Lab {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("desk", lan)
	office.Host("site", dmz.Also("10.0.2.200/24"))
	office.Router("fw", lan, dmz).Nft(reviewed)
	lab := harness.Up(GinkgoTB(), office)
	probes.Serve(GinkgoTB(), lab.Node("site"), probes.TCP(22), probes.TCP(25), probes.TCP(80), probes.TCP(9999))
	return lab
}

// change is what somebody does to the rules.
type change struct {
	after string
	// told are in the words of the difference, in their order.
	told []string
	// to is where a connection begins to go, or ceases.
	to    string
	opens bool
}

const (
	soon    = 25 * time.Second       // when what is answered is, however busy the machine
	silence = 200 * time.Millisecond // for what nobody is to answer
)

var _ = Describe("what a change of rules does", func() {
	DescribeTable("is told in words, by which rule before and by which after", func(ctx SpecContext, make func() change) {
		c := make()
		lab := edited()
		found, err := policy.CompareRules(ctx, lab, "fw", reviewed, c.after)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("the difference", found.String(), ReportEntryVisibilityFailureOrVerbose)
		Expect(found.Notes).To(BeEmpty())
		text := found.String()
		for _, words := range c.told {
			_, after, found := strings.Cut(text, words)
			Expect(found).To(BeTrue(), "%q is in\n%s", words, text)
			text = after
		}

		to, desk, fw := netip.MustParseAddrPort(c.to), lab.Node("desk"), lab.Node("fw")
		within := map[bool]time.Duration{true: soon, false: silence}
		Expect(dial(ctx, desk, to, within[!c.opens]) == nil).To(Equal(!c.opens), "a connection to %s before", to)
		Expect(fw.Nft("flush ruleset\n" + c.after)).To(Succeed())
		Expect(dial(ctx, desk, to, within[c.opens]) == nil).To(Equal(c.opens), "a connection to %s after", to)
	},
		Entry("a new accept above a drop", func() change {
			return change{
				after: changed(noSSH, `		ip saddr 10.0.1.0/24 tcp dport 1-79 accept comment "services"`+"\n"+noSSH),
				told: []string{
					"now is let through: tcp 10.0.1.1:", " > 10.0.2.1:22 SYN, in by lan",
					`before: dropped by rule 2 of inet filter forward (iifname "lan" tcp dport 22 drop comment "no ssh")`,
					`after:  let through by rule 2 of inet filter forward (ip saddr 10.0.1.0/24 tcp dport 1-79 accept comment "services")`,
				},
				to: "10.0.2.1:22", opens: true,
			}
		}),
		Entry("a prefix that is too wide", func() change {
			return change{
				after: changed("10.0.2.0/25", "10.0.2.0/24"),
				told: []string{
					"1 kind of packet is treated differently:", "now is let through: tcp 10.0.1.1:", " SYN, in by lan",
					`before: dropped by policy drop of inet filter forward`,
					`after:  let through by rule 4 of inet filter forward (iifname "lan" ip daddr 10.0.2.0/24 tcp dport { 80, 443 } accept comment "web")`,
				},
				to: "10.0.2.200:80", opens: true,
			}
		}),
		Entry("a pair in another order", func() change {
			return change{
				after: changed(noSSH+files, files+noSSH),
				told: []string{
					"now is let through: tcp 10.0.1.1:", " > 10.0.2.1:22 SYN, in by lan",
					`before: dropped by rule 2 of inet filter forward (iifname "lan" tcp dport 22 drop comment "no ssh")`,
					`after:  let through by rule 2 of inet filter forward (iifname "lan" tcp dport 20-25 accept comment "files and mail")`,
				},
				to: "10.0.2.1:22", opens: true,
			}
		}),
		Entry("IPv6 forgotten", func() change {
			return change{
				after: changed(noSSH, strings.Replace(noSSH, "tcp", "ip saddr 10.0.1.0/24 tcp", 1)),
				told: []string{
					"now is let through: tcp [fd00:1::1]:", " > [fd00:2::1]:22 SYN, in by lan",
					`before: dropped by rule 2 of inet filter forward (iifname "lan" tcp dport 22 drop comment "no ssh")`,
					`after:  let through by rule 3 of inet filter forward (iifname "lan" tcp dport 20-25 accept comment "files and mail")`,
				},
				to: "[fd00:2::1]:22", opens: true,
			}
		}),
		Entry("the rule for answers dropped", func() change {
			return change{
				after: changed(`		ct state established,related accept comment "answers"`+"\n", ""),
				told: []string{
					"now is stopped: tcp 10.0.1.1:", " SYN, in by lan, new; then tcp 10.0.2.1:", " SYN,ACK, in by dmz, established",
					`before: let through by rule 1 of inet filter forward (ct state established,related accept comment "answers")`,
					`after:  dropped by policy drop of inet filter forward`,
				},
				to: "10.0.2.1:80",
			}
		}),
		Entry("another port of a NAT rule", func() change {
			return change{
				after: changed("10.0.2.1:80", "10.0.2.1:443"),
				told: []string{
					"now goes to another: tcp 10.0.1.1:", ":8080 SYN, in by lan",
					`before: let through by rule 1 of ip nat prerouting (iifname "lan" tcp dport 8080 dnat to 10.0.2.1:80 comment "proxy"), to 10.0.2.1:80`,
					`after:  let through by rule 1 of ip nat prerouting (iifname "lan" tcp dport 8080 dnat to 10.0.2.1:443 comment "proxy"), to 10.0.2.1:443`,
				},
				to: "10.0.2.1:8080",
			}
		}),
		Entry("an interface with another name", func() change {
			return change{
				after: changed(`iifname "lan" tcp dport 20-25`, `iifname "lan0" tcp dport 20-25`),
				told: []string{
					"now is stopped: tcp 10.0.1.1:", " SYN, in by lan",
					`before: let through by rule 3 of inet filter forward (iifname "lan" tcp dport 20-25 accept comment "files and mail")`,
					`after:  dropped by policy drop of inet filter forward`,
				},
				to: "10.0.2.1:25",
			}
		}),
		Entry("a policy flipped", func() change {
			return change{
				after: changed("policy drop", "policy accept"),
				told: []string{
					"now is let through: ",
					`before: dropped by policy drop of inet filter forward`,
					`after:  let through by policy accept of inet filter forward`,
				},
				to: "10.0.2.1:9999", opens: true,
			}
		}),
	)

	DescribeTable("is nothing where rules say the same", func(ctx SpecContext, make func() string) {
		found, err := policy.CompareRules(ctx, edited(), "fw", reviewed, make())
		Expect(err).NotTo(HaveOccurred())
		Expect(found.Empty()).To(BeTrue(), found.String())
		Expect(found.Moved).To(BeEmpty())
		Expect(found.Notes).To(BeEmpty())
	},
		Entry("in the same words", func() string { return reviewed }),
		Entry("with other comments", func() string { return changed(`"no ssh"`, `"ssh is closed"`) }),
		Entry("in an order that does not matter", func() string {
			web := strings.Split(reviewed, "\n")[7]
			web6 := strings.Split(reviewed, "\n")[8]
			return changed(web+"\n"+web6, web6+"\n"+web)
		}),
		Entry("with a set that has a name", func() string {
			return strings.NewReplacer("tcp dport { 80, 443 }", "tcp dport @web", "table inet filter {", "table inet filter {\n\tset web { type inet_service; elements = { 443, 80 }; }").Replace(reviewed)
		}),
		Entry("in a chain of their own", func() string {
			return strings.Replace(strings.Replace(reviewed, noSSH+files, "\t\tjump low\n", 1), "\tchain forward {", "\tchain low {\n"+noSSH+files+"\t}\n\tchain forward {", 1)
		}),
	)

	It("is nothing after a migration that kept the policy, and something after one that did not", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IptablesTool)
		migrated := func(rules string) *harness.Lab {
			lab := office("")
			Expect(lab.Node("fw").Iptables(rules)).To(Succeed())
			return lab
		}
		native := office(`
table ip filter {
	chain FORWARD {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		iifname "lan" tcp dport { 80, 443 } accept
		iifname "lan" ip daddr 10.0.2.0/24 udp dport 53 accept
	}
}`)
		const tables = `*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan -p tcp -m multiport --dports 80,443 -j ACCEPT
-A FORWARD -i lan -d 10.0.2.0/24 -p udp -m udp --dport 53 -j ACCEPT
COMMIT
`
		Expect(native).To(policy.BehaveLike(migrated(tables)).WithContext(ctx))
		wrong := migrated(strings.Replace(tables, "80,443", "80,444", 1))
		matcher := policy.BehaveLike(wrong).WithContext(ctx)
		Expect(matcher.Match(native)).To(BeFalse())
		Expect(matcher.FailureMessage(native)).To(And(ContainSubstring(":443 SYN, in by lan"), ContainSubstring(":444 SYN, in by lan")))
	})
})
