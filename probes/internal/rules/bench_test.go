package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/internal/rules"
)

// A ruleset of 5,500 rules, of which the last remembers: what a probe costs that the
// policy drops.
func BenchmarkDeciding5500(b *testing.B) {
	var text strings.Builder
	text.WriteString("table inet t {\nchain c {\ntype filter hook forward priority 0; policy drop;\n")
	for i := range 5500 {
		fmt.Fprintf(&text, "ip saddr 10.%d.%d.0/24 tcp dport %d counter accept\n", i>>8, i&255, 1+i)
	}
	set := loaded(b, text.String()+limited+"\n}\n}\n")
	steps := []rules.Step{{Family: "inet", Table: "t", Chain: "c"}}
	p := tcp(443)
	p.Dst = target
	b.Run("deciding", func(b *testing.B) {
		for b.Loop() {
			if found := rules.Deciding(set, p, steps); len(found) != 1 {
				b.Fatal(found)
			}
		}
	})
	b.Run("prepared", func(b *testing.B) {
		chains := rules.Prepare(set)
		for b.Loop() {
			if found := chains.Deciding(p, steps); len(found) != 1 {
				b.Fatal(found)
			}
		}
	})
	b.Run("named", func(b *testing.B) {
		for b.Loop() {
			if found := rules.Named(set); len(found) < 5500 {
				b.Fatal(len(found))
			}
		}
	})
	b.Run("match", func(b *testing.B) {
		rule := set.Tables[0].Chains[0].Rules[100]
		for b.Loop() {
			rules.Match(rule, p)
		}
	})
}
