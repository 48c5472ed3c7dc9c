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

// ruleRef is a rule in a namespace; the handle is 0 for a chain's policy.
type ruleRef struct {
	family       nftables.TableFamily
	table, chain string
	handle       uint64
}

// ruleset is what rules a node has at one moment.
type ruleset struct {
	generation uint32 // the kernel's count of changes by then
	rules      []coverRule
	byRef      map[ruleRef]coverRule
}

// readRuleset reads the tables that a probe's packet may meet, but no watch's.
func readRuleset(node *harness.Node, nft *nftables.Conn) (*ruleset, error) {
	s := &ruleset{byRef: map[ruleRef]coverRule{}}
	tables, err := nodeRules(nft)
	if err != nil || len(tables) == 0 {
		return s, err
	}
	theirs := map[ruleRef]bool{}
	for _, table := range tables {
		theirs[ruleRef{family: table.Family, table: table.Name}] = table.Family != nftables.TableFamilyARP
	}
	chains, err := nft.ListChains()
	if err != nil {
		return nil, err
	}
	texts := textsOf(nftOutput(node, "-s", "-a", "list", "ruleset"))
	for _, chain := range chains {
		if !theirs[ruleRef{family: chain.Table.Family, table: chain.Table.Name}] {
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
func (s *ruleset) add(chain *nftables.Chain, rules []*nftables.Rule, texts map[ruleRef]string) {
	ref := ruleRef{chain.Table.Family, chain.Table.Name, chain.Name, 0}
	place := coverRule{family: familyNames[ref.family], table: ref.table, chain: ref.chain}
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
func textsOf(listing string) map[ruleRef]string {
	texts := map[ruleRef]string{}
	var in ruleRef
	for line := range strings.Lines(listing) {
		words := strings.Fields(line)
		depth := len(line) - len(strings.TrimLeft(line, "\t"))
		switch {
		case depth == 0 && len(words) > 2 && words[0] == "table":
			in = ruleRef{family: families[words[1]], table: words[2]}
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
