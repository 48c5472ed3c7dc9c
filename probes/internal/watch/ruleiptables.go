package watch

import (
	"os/exec"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// iptablesTables are the tables of iptables-nft, which makes them in family ip or ip6.
var iptablesTables = map[string]bool{"filter": true, "nat": true, "mangle": true, "raw": true, "security": true}

// iptablesText is a rule of iptables-nft as iptables-save prints it; "" for a rule of
// nft's own, and without iptables.
func iptablesText(node *harness.Node, r *evidence.Rule) string {
	program := map[string]string{"ip": "iptables", "ip6": "ip6tables"}[r.Family]
	if program == "" || !iptablesTables[r.Table] {
		return ""
	}
	path := found(program + "-nft-save")
	if path == "" {
		return ""
	}
	number, ok := numberOf(node, r)
	if !ok {
		return ""
	}
	var out []byte
	err := node.Do(func() (err error) { // the program starts from this thread, and so in the namespace
		out, err = exec.Command(path, "-t", r.Table).Output()
		return err
	})
	chains := map[string]*legacyChain{}
	if addChains(chains, program, string(out)); err != nil {
		return ""
	}
	chain := chains[program+" "+r.Table+" "+r.Chain]
	if chain == nil || number >= len(chain.rules) {
		return ""
	}
	return legacyComment.ReplaceAllString(chain.rules[number], "")
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
