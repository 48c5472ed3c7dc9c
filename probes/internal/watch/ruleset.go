package watch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
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

// ReadRules reads a node's nftables rules: none where the kernel has no nftables.
func ReadRules(node *harness.Node) (set *inspect.Ruleset, err error) {
	var conn *inspect.RulesetConn
	err = node.Do(func() error {
		conn, err = inspect.DialRuleset()
		return err
	})
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return &inspect.Ruleset{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return inspect.ReadRuleset(conn)
}

// readRuleset reads the tables that a probe's packet may meet, but no watch's.
func readRuleset(node *harness.Node) (*ruleset, error) {
	s := &ruleset{byRef: map[ruleKey]coverRule{}}
	set, err := ReadRules(node)
	if err != nil || len(set.Tables) == 0 {
		return s, err
	}
	texts := textsOf(listedOf(node, set, nftPath(), wholeRuleset...))
	for _, table := range set.Tables {
		if table.Family == "arp" {
			continue
		}
		for _, chain := range table.Chains {
			s.add(chain, texts)
		}
	}
	return s, nil
}

// add adds a chain's policy and its rules.
func (s *ruleset) add(chain *inspect.Chain, texts map[ruleKey]string) {
	ref := ruleKey{byte(families[chain.Table.Family]), chain.Table.Name, chain.Name, 0}
	place := coverRule{family: chain.Table.Family, table: ref.table, chain: ref.chain}
	if chain.Hook != "" {
		policy := place
		if policy.text = "policy accept"; chain.Drops {
			policy.text = "policy drop"
		}
		s.rules, s.byRef[ref] = append(s.rules, policy), policy
	}
	alike := map[string]int{}
	for i, rule := range chain.Rules {
		ref.handle = rule.Handle
		r := place
		if r.text = texts[ref]; r.text == "" {
			r.text = fmt.Sprintf("rule %d", i+1) // there is no nft to ask
		}
		if rule.Comment != "" && !strings.Contains(r.text, " comment ") {
			r.text += fmt.Sprintf(" comment %q", rule.Comment) // nft does not print that of iptables
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
