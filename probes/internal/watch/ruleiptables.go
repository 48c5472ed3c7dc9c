package watch

import (
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// iptablesTables are the tables of iptables-nft, which makes them in family ip or ip6.
var iptablesTables = map[string]bool{"filter": true, "nat": true, "mangle": true, "raw": true, "security": true}

// iptablesText is a rule of iptables-nft as iptables-save prints it; "" for a rule of
// nft's own, and without iptables.
func iptablesText(node *harness.Node, r *evidence.Rule) string {
	if program, path := saves(r.Family, r.Table); program == "" || path == "" {
		return ""
	}
	number, ok := numberOf(node, r)
	if !ok {
		return ""
	}
	return savedChains(node, r.Family, r.Table).rule(r.Chain, number)
}

// textsFor are a rule as nft prints it, and in iptables' words if it is iptables': those stand for both where nft has none.
func textsFor(node *harness.Node, r *evidence.Rule) (text, iptables string) {
	text, iptables = RuleText(node, r), iptablesText(node, r)
	if iptables != "" && isWordless(text) {
		text = iptables
	}
	return text, iptables
}

// savedTable are the chains of a table of iptables-nft, as iptables-save prints them.
type savedTable struct {
	chains map[string]*legacyChain
	before string // of a chain's name
}

// rule is a chain's rule, by its number from 0 on; "" for none.
func (s savedTable) rule(chain string, number int) string {
	in := s.chains[s.before+chain]
	if in == nil || number >= len(in.rules) {
		return ""
	}
	return legacyComment.ReplaceAllString(in.rules[number], "")
}

// savedChains are those of a table; none where iptables did not make it, and without iptables.
func savedChains(node *harness.Node, family, table string) (s savedTable) {
	program, path := saves(family, table)
	if path == "" {
		return s
	}
	out := listed(node, path, "-t", table)
	if out == "" {
		return s
	}
	s = savedTable{chains: map[string]*legacyChain{}, before: program + " " + table + " "}
	addChains(s.chains, program, out)
	return s
}

// saves is which iptables prints a table, and where what prints it is; "" for none.
func saves(family, table string) (program, path string) {
	program = map[string]string{"ip": "iptables", "ip6": "ip6tables"}[family]
	if program == "" || !iptablesTables[table] {
		return "", ""
	}
	return program, found(program + "-nft-save")
}

// isWordless says whether nft has no words for a rule: it names iptables' extension then, and not what that is asked for.
func isWordless(text string) bool {
	return strings.Contains(text, "xt match ") || strings.Contains(text, "xt target ")
}

// numberOf is a rule's number in its chain, from 0 on.
func numberOf(node *harness.Node, r *evidence.Rule) (number int, ok bool) {
	set, err := ReadRules(node)
	if err != nil {
		return 0, false
	}
	chain := set.Chain(r.Family, r.Table, r.Chain)
	if chain == nil {
		return 0, false
	}
	rule := chain.Rule(r.Handle)
	if rule == nil {
		return 0, false
	}
	return rule.Position - 1, true
}
