package policy_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mutation is a way in which people get a rule wrong: what becomes of the lines of a ruleset, of which one is meant; nil where
// it does nothing to that one.
type mutation struct {
	kind string
	of   func(r *rand.Rand, lines []string, at int) []string
}

var mutations = []mutation{
	{"a rule deleted", func(_ *rand.Rand, lines []string, at int) []string { return slices.Delete(lines, at, at+1) }},
	{"a rule twice", func(_ *rand.Rand, lines []string, at int) []string { return slices.Insert(lines, at, lines[at]) }},
	{"a pair in another order", func(_ *rand.Rand, lines []string, at int) []string {
		if !isVaried(lines[at+1]) {
			return nil
		}
		lines[at], lines[at+1] = lines[at+1], lines[at]
		return lines
	}},
	{"a rule moved", func(r *rand.Rand, lines []string, at int) []string {
		first := at
		for isVaried(lines[first-1]) {
			first--
		}
		moved := lines[at]
		return slices.Insert(slices.Delete(lines, at, at+1), first+r.IntN(at-first+1), moved)
	}},
	{"a verdict flipped", swapped("accept", "drop", "drop", "accept")},
	{"a return for a verdict", swapped("accept", "return", "drop", "return", "return", "accept")},
	{"a port besides", swapped("22", "23", "80", "79", "21", "20", "81", "82")},
	{"a range open at an end", swapped("22-80", "22-79", "79-81", "80-81", "< 80", "<= 80", ">= 22", "> 22", "0-21", "0-22")},
	{"another interface", swapped("lan", "dmz", "dmz", "lan")},
	{"in for out", swapped("iifname", "oifname", "oifname", "iifname", "iif ", "oif ")},
	{"another prefix", swapped("0/25", "0/24", "0/24", "0/25", "0/30", "0/25", "64/26", "0/25", "::/64", "::0/120", "0/120", "/64")},
	{"an address besides", swapped(".77", ".78", ".200", ".201", ".2 ", ".1 ", "::2 ", "::1 ", "::200", "::1", ".255", ".199")},
	{"another protocol", swapped("tcp dport", "udp dport", "udp dport", "tcp dport", "l4proto tcp", "l4proto udp", "l4proto udp", "l4proto tcp")},
	{"a negation lost", swapped(" != ", " ")},
	{"a negation", negated("saddr ", "saddr != ", "daddr ", "daddr != ", "dport 22 ", "dport != 22 ")},
	{"source for destination", swapped("saddr", "daddr", "daddr", "saddr")},
	{"an element lost", func(_ *rand.Rand, lines []string, at int) []string { return rewritten(lines, at, element, "{ ") }},
	{"another family", ofOne("ip saddr 10.0.1.1 ", "ip6 saddr fd00:1::1 ", "ip daddr 10.0.1.1 ", "ip6 daddr fd00:1::1 ", "ip6 saddr fd00:1::1 ", "ip saddr 10.0.1.1 ")},
	{"another TTL", swapped("< 63", "< 62", ">= 63", "> 63")},
	{"other flags", swapped("flags syn", "flags fin", "== fin", "== syn")},
	{"a condition lost", func(_ *rand.Rand, lines []string, at int) []string { return rewritten(lines, at, condition, "\t\t") }},
}

var (
	family    = regexp.MustCompile(`\bip6? |nfproto|icmp`)
	element   = regexp.MustCompile(`\{ [^,{}]*, `)
	condition = regexp.MustCompile(`^\t\t(iifname|oifname|iif) (!= )?"[a-z]+" `)
)

// swapped has one text for another in the rule.
func swapped(oldNew ...string) func(*rand.Rand, []string, int) []string {
	return func(_ *rand.Rand, lines []string, at int) []string {
		lines[at] = strings.NewReplacer(oldNew...).Replace(lines[at])
		return lines
	}
}

// ofOne has one text for another in a rule that says its family once.
func ofOne(oldNew ...string) func(*rand.Rand, []string, int) []string {
	swap := swapped(oldNew...)
	return func(r *rand.Rand, lines []string, at int) []string {
		if len(family.FindAllString(lines[at], -1)) != 1 {
			return nil
		}
		return swap(r, lines, at)
	}
}

// negated has one text for another in a rule that negates nothing.
func negated(oldNew ...string) func(*rand.Rand, []string, int) []string {
	swap := swapped(oldNew...)
	return func(r *rand.Rand, lines []string, at int) []string {
		if strings.Contains(lines[at], "!=") || strings.Contains(lines[at], "fib ") {
			return nil
		}
		return swap(r, lines, at)
	}
}

func rewritten(lines []string, at int, what *regexp.Regexp, to string) []string {
	lines[at] = what.ReplaceAllString(lines[at], to)
	return lines
}

func isRule(line string) bool {
	return strings.HasPrefix(line, "\t\t") && !strings.Contains(line, "type filter")
}

// isVaried says whether a rule is one of those that are generated: the first and last of a base chain only count.
func isVaried(line string) bool { return isRule(line) && strings.TrimSpace(line) != "counter" }

// mutated is a ruleset with one rule, or the policy, as people get it wrong, and how.
func mutated(r *rand.Rand, rules string) (kind, text string) {
	lines := strings.Split(rules, "\n")
	var at []int
	for i, line := range lines {
		if isVaried(line) {
			at = append(at, i)
		}
	}
	const policies = 30 // of so many mutants, one is of the policy
	if r.IntN(policies) == 0 {
		return "a policy flipped", strings.NewReplacer("policy accept", "policy drop", "policy drop", "policy accept").Replace(rules)
	}
	for {
		m := mutations[r.IntN(len(mutations))]
		if made := m.of(r, slices.Clone(lines), at[r.IntN(len(at))]); made != nil && !slices.Equal(made, lines) {
			return m.kind, strings.Join(made, "\n")
		}
	}
}

// Each kind of mutation does something to rules as they are generated: none is a word without a deed.
func TestMutationsHappen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 18))
	seen := map[string]bool{}
	const many = 3000
	for range many {
		kind, _ := mutated(r, generated(r))
		seen[kind] = true
	}
	for _, m := range mutations {
		if !seen[m.kind] {
			t.Errorf("no rule of %d rulesets has been made into one with %s", many, m.kind)
		}
	}
}
