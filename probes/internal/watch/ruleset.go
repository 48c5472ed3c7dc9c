package watch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// coverRule is a rule, or a base chain's policy, as it is known across labs: a
// handle is another one in each.
type coverRule struct {
	family, table, chain string
	// ordinal tells rules of one text in a chain apart, from 1; 0 is a policy.
	ordinal int
	text    string
}

// ruleset is what rules a node has at one moment.
type ruleset struct {
	generation uint32 // the kernel's count of changes by then
	rules      []coverRule
	byRef      map[ruleKey]coverRule
}

// readRuleset reads the tables that a probe's packet may meet, but no watch's.
func readRuleset(node *harness.Node, nft *nftables.Conn) (*ruleset, error) {
	s := &ruleset{byRef: map[ruleKey]coverRule{}}
	tables, err := nft.ListTables()
	if err != nil {
		return s, err
	}
	theirs := map[ruleKey]bool{}
	for _, table := range tables {
		theirs[ruleKey{family: byte(table.Family), table: table.Name}] = table.Family != nftables.TableFamilyARP && !IsOwn(table.Name)
	}
	chains, err := nft.ListChains()
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return s, nil
	}
	texts := textsOf(nftOutput(node, "-s", "-a", "list", "ruleset"))
	for _, chain := range chains {
		if !theirs[ruleKey{family: byte(chain.Table.Family), table: chain.Table.Name}] {
			continue
		}
		rules, err := nft.GetRules(chain.Table, chain)
		if err != nil {
			return nil, err
		}
		s.add(chain, rules, texts)
	}
	return s, nil
}

// add adds a chain's policy and its rules.
func (s *ruleset) add(chain *nftables.Chain, rules []*nftables.Rule, texts map[ruleKey]string) {
	ref := ruleKey{byte(chain.Table.Family), chain.Table.Name, chain.Name, 0}
	place := coverRule{family: familyName(ref.family), table: ref.table, chain: ref.chain}
	if chain.Hooknum != nil {
		policy := place
		policy.text = "policy accept"
		if chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
			policy.text = "policy drop"
		}
		s.rules, s.byRef[ref] = append(s.rules, policy), policy
	}
	alike := map[string]int{}
	for i, rule := range rules {
		ref.handle = rule.Handle
		r := place
		if r.text = texts[ref]; r.text == "" {
			r.text = fmt.Sprintf("rule %d", i+1) // there is no nft to ask
		}
		var said evidence.Rule
		if describe(&said, rule); said.Comment != "" && !strings.Contains(r.text, " comment ") {
			r.text += fmt.Sprintf(" comment %q", said.Comment) // nft does not print that of iptables
		}
		alike[r.text]++
		r.ordinal = alike[r.text]
		s.rules, s.byRef[ref] = append(s.rules, r), r
	}
}

// textsOf reads what nft -s -a prints of a ruleset: its rules, without their counts.
func textsOf(listing string) map[ruleKey]string {
	texts := map[ruleKey]string{}
	var in ruleKey
	for line := range strings.Lines(listing) {
		words := strings.Fields(line)
		depth := len(line) - len(strings.TrimLeft(line, "\t"))
		switch {
		case depth == 0 && len(words) > 2 && words[0] == "table":
			in = ruleKey{family: byte(families[words[1]]), table: words[2]}
		case depth == 1 && len(words) > 1:
			if in.chain = ""; words[0] == "chain" {
				in.chain = words[1]
			}
		case depth == 2 && in.chain != "":
			if at := strings.LastIndex(line, " # handle "); at >= 0 {
				in.handle, _ = strconv.ParseUint(strings.TrimSpace(line[at+len(" # handle "):]), 10, 64)
				texts[in] = strings.Join(strings.Fields(line[:at]), " ")
			}
		}
	}
	return texts
}

// find is a rule by its place; none in a ruleset that was not read.
func (s *ruleset) find(key ruleKey) (coverRule, bool) {
	if s == nil {
		return coverRule{}, false
	}
	rule, ok := s.byRef[key]
	return rule, ok
}
