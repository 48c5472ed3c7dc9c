package firewalls_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// counted gives every rule of nft's that stops packets a counter, as those of
// iptables have.
func (r ruleset) counted() ruleset {
	r.nft = stopping.ReplaceAllString(r.nft, "${1}counter $2")
	return r
}

var stopping = regexp.MustCompile(`(?m)^(\t\t(?:.* )?)((?:drop|reject)(?: with [a-z0-9 -]+)?)$`)

// place is where a rule or a policy is, as nft and iptables-save know it too.
func place(rule *evidence.Rule) string {
	if rule.IsPolicy() {
		return fmt.Sprintf("policy of %s %s %s", rule.Family, rule.Table, rule.Chain)
	}
	return fmt.Sprintf("rule %d of %s %s %s", rule.Handle, rule.Family, rule.Table, rule.Chain)
}

// counters are how many packets each rule and policy of a node has met, by place.
func counters(node *harness.Node) map[string]int {
	GinkgoHelper()
	packets := map[string]int{}
	out, err := node.Command("nft", "--json", "--handle", "list", "ruleset").Output()
	Expect(err).NotTo(HaveOccurred())
	var listed struct {
		Nftables []struct {
			Rule *struct {
				Family, Table, Chain string
				Handle               int
				Expr                 []struct {
					Counter *struct{ Packets int }
				}
			}
		}
	}
	Expect(json.Unmarshal(out, &listed)).To(Succeed())
	for _, object := range listed.Nftables {
		if rule := object.Rule; rule != nil {
			for _, e := range rule.Expr {
				if e.Counter != nil {
					packets[fmt.Sprintf("rule %d of %s %s %s", rule.Handle, rule.Family, rule.Table, rule.Chain)] = e.Counter.Packets
				}
			}
		}
	}
	// nft does not list the counters of policies.
	for family, program := range map[string]string{"ip": "iptables-save", "ip6": "ip6tables-save"} {
		out, err := node.Command(program, "--counters").Output()
		Expect(err).NotTo(HaveOccurred())
		table := ""
		for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
			var chain, policy string
			var count int
			if name, ok := strings.CutPrefix(lines.Text(), "*"); ok {
				table = name
			} else if n, _ := fmt.Sscanf(lines.Text(), ":%s %s [%d:", &chain, &policy, &count); n == 3 {
				packets[fmt.Sprintf("policy of %s %s %s", family, table, chain)] = count
			}
		}
	}
	return packets
}

var _ = Describe("a named rule", func() {
	DescribeTable("has counted what it is said to have stopped", each(func(ctx SpecContext, g *generator) {
		o := newOffice(GinkgoTB(), g.ruleset().counted())
		before := counters(o.fw)
		matrix := o.survey(ctx)
		after := counters(o.fw)
		stopped := map[string]int{}
		for _, r := range everything(o.lab, matrix) {
			if r.Cause != nil && r.Cause.Rule != nil {
				stopped[place(r.Cause.Rule)]++
			}
		}
		Expect(stopped).NotTo(BeEmpty())
		for rule, n := range stopped {
			Expect(after).To(HaveKey(rule))
			Expect(after[rule]-before[rule]).To(BeNumerically(">=", n), rule)
		}
	})...)
})
