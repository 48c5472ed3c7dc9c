package rules_test

import (
	"slices"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// A connection that another rule has expected is told from one that is new: only by rules that
// ask for it, and only where it may be the packet's.
func TestExpectedConnections(t *testing.T) {
	t.Parallel()
	const expects = `ct expectation e { protocol udp; dport 7; timeout 1m; size 12; l3proto ip; }
		ct helper h { type "tftp" protocol udp; }`
	const set = `udp dport 8000 ct expectation set "e" accept;`
	for _, row := range []struct {
		rules   string
		port    uint16
		depends string
	}{
		{set + "ct state related accept", 7, "rule 2 of ip t c depends on whether its connection is expected (ct expectation e)"},
		{set + "ct state vmap { established : accept, related : accept }", 7, "rule 2 of ip t c depends on whether its connection is expected (ct expectation e)"},
		{set + "ct status & expected != 0 accept", 7, "rule 2 of ip t c depends on whether its connection is expected (ct expectation e)"},
		{set + "ct mark 5 accept", 7, "rule 2 of ip t c depends on whether its connection is expected (ct expectation e)"},
		{set + `ct helper "ftp" accept`, 7, "rule 2 of ip t c depends on whether its connection is expected (ct expectation e)"},
		{set + "ct state related accept", 9, ""},
		{set + "ct state established accept", 7, ""},
		{set + "ct state related drop", 7, ""},
		{"ct state related accept", 7, ""},
		{`udp dport 69 ct helper set "h" accept; ct state related accept`, 9, "rule 2 of ip t c depends on whether its connection is expected (ct helper tftp)"},
		{`ct helper set udp dport map { 69 : "h" }; ct state related accept`, 9, "rule 2 of ip t c depends on whether its connection is expected (ct helper tftp)"},
	} {
		set := loaded(t, "table ip t { "+expects+"; chain c { type filter hook forward priority 0; policy drop; "+row.rules+"; }; }")
		found := rules.Deciding(set, packet(17, 40000, row.port), []rules.Step{{Family: "ip", Table: "t", Chain: "c"}})
		var depends string
		if len(found) > 0 {
			depends = found[0].String()
		}
		if depends != row.depends || len(found) > 1 {
			t.Errorf("%s, to port %d: %v, want %q", row.rules, row.port, found, row.depends)
		}
	}
}

// A rule for what is new lets by what is expected.
func TestExpectedIsNotNew(t *testing.T) {
	t.Parallel()
	set := loaded(t, `table inet t { ct helper h { type "ftp" protocol tcp; }
		chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "h"; }
		chain c { type filter hook forward priority 0; ct state new drop; }; }`)
	steps := []rules.Step{{Family: "inet", Table: "t", Chain: "pre"}, {Family: "inet", Table: "t", Chain: "c", Handle: set.Chain("inet", "t", "c").Rules[0].Handle}}
	if found := rules.Deciding(set, packet(6, 40000, 22), steps); len(found) != 1 || found[0].Kind != rules.History {
		t.Errorf("TCP depends on %v", found)
	}
	if found := rules.Deciding(set, packet(17, 40000, 22), steps); len(found) != 0 {
		t.Errorf("UDP, which helper ftp expects none of, depends on %v", found)
	}
}

// The helpers of both kinds of iptables are the kernel's as well.
func TestExpectedByIptables(t *testing.T) {
	t.Parallel()
	legacy, err := inspect.ParseLegacy("iptables-legacy", `*raw
:PREROUTING ACCEPT
-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp
COMMIT
*filter
:FORWARD DROP
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
COMMIT
`)
	if err != nil {
		t.Fatal(err)
	}
	set := &inspect.Ruleset{Legacy: legacy}
	forward := legacy[1].Chains[0].Rules
	for i, want := range []rules.Kind{rules.History, 0} {
		if memory, _ := rules.RemembersLegacyOf(set, forward[i], packet(6, 40000, 22)); memory.Kind != want {
			t.Errorf("rule %d depends on %q", i+1, memory)
		}
	}
	if memory, _ := rules.RemembersLegacyOf(set, forward[0], packet(17, 40000, 22)); memory.Kind != 0 {
		t.Errorf("for UDP it depends on %q", memory)
	}

	// struct xt_ct_target_info, as iptables-nft has it.
	info := xt.Unknown(slices.Concat(make([]byte, 12), []byte("tftp"), make([]byte, 12+8)))
	table := &inspect.Table{Family: "ip", Name: "raw"}
	chain := &inspect.Chain{Table: table, Name: "PREROUTING"}
	chain.Rules = []*inspect.Rule{{Chain: chain, Exprs: []any{&expr.Target{Name: "CT", Info: &info}}}}
	table.Chains = []*inspect.Chain{chain}
	all := (&inspect.Ruleset{Tables: []*inspect.Table{table}}).Expectations()
	if want := (inspect.Expectation{By: "ct helper tftp", Protocol: 17}); len(all) != 1 || all[0] != want {
		t.Errorf("it expects %v, want %v", all, want)
	}
}
