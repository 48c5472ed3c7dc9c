package inspect

import (
	"fmt"
	"strings"
)

// LegacyTable is a table of iptables-legacy or ip6tables-legacy.
type LegacyTable struct {
	// Program is iptables-legacy or ip6tables-legacy.
	Program, Name string
	Chains        []*LegacyChain
	// FillsIPSets is true where a rule of the program, in this table or another, puts
	// into a set of ipset.
	FillsIPSets bool
}

// LegacyChain is a chain of it.
type LegacyChain struct {
	Table *LegacyTable
	Name  string
	// Policy is ACCEPT or DROP for a built-in chain, "" for a user's own.
	Policy string
	Rules  []*LegacyRule
}

// String is its place: "iptables-legacy filter FORWARD".
func (c *LegacyChain) String() string { return c.Table.Program + " " + c.Table.Name + " " + c.Name }

// LegacyRule is a rule of iptables-legacy.
type LegacyRule struct {
	Chain *LegacyChain
	// Number is its place in the chain, from 1, by which the kernel's trace calls it.
	Number int
	// Text is the rule as iptables-save prints it, without -A and the chain.
	Text    string
	Comment string
	// Options are its conditions in order, without the modules' names ("-m tcp").
	Options []LegacyOption
	// Modules are those of its conditions ("tcp", "limit").
	Modules []string
	// Target is what -j or -g names, "" where the rule only counts; Goto is -g.
	Target string
	Goto   bool
}

// LegacyOption is one condition, or a target's parameter.
type LegacyOption struct {
	// Name is as iptables-save prints it: -p, --dport.
	Name string
	// Not is the "!" before it.
	Not    bool
	Values []string
	// OfTarget is true after -j or -g.
	OfTarget bool
}

// String is its place, and its comment where it has one.
func (r *LegacyRule) String() string {
	text := fmt.Sprintf("rule %d of %s", r.Number, r.Chain)
	if r.Comment != "" {
		text += fmt.Sprintf(" (%q)", r.Comment)
	}
	return text
}

// Chain is the table's chain of that name, nil where it has none.
func (t *LegacyTable) Chain(name string) *LegacyChain {
	for _, chain := range t.Chains {
		if chain.Name == name {
			return chain
		}
	}
	return nil
}

// ParseLegacy reads what iptables-legacy-save printed, or ip6tables-legacy-save:
// program is iptables-legacy or ip6tables-legacy. A line that it does not know
// is an error.
func ParseLegacy(program, text string) ([]*LegacyTable, error) {
	var tables []*LegacyTable
	var table *LegacyTable
	fills := strings.Contains(text, " -j SET ")
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line == "COMMIT":
		case line[0] == '*':
			table = &LegacyTable{Program: program, Name: line[1:], FillsIPSets: fills}
			tables = append(tables, table)
		case table == nil || !table.line(line):
			return nil, fmt.Errorf("read %s's rules: line %d: %q is neither a table, a chain nor a rule of one", program, number, line)
		}
	}
	return tables, nil
}

// line takes a chain or a rule, with or without counters before it.
func (t *LegacyTable) line(line string) bool {
	if strings.HasPrefix(line, "[") {
		_, line, _ = strings.Cut(line, "] ")
	}
	if name, ok := strings.CutPrefix(line, ":"); ok {
		fields := append(strings.Fields(name), "", "")
		chain := &LegacyChain{Table: t, Name: fields[0]}
		if fields[1] != "-" {
			chain.Policy = fields[1]
		}
		t.Chains = append(t.Chains, chain)
		return true
	}
	rest, ok := strings.CutPrefix(line, "-A ")
	name, text, _ := strings.Cut(rest, " ")
	chain := t.Chain(name)
	if !ok || chain == nil {
		return false
	}
	rule := &LegacyRule{Chain: chain, Number: len(chain.Rules) + 1, Text: text}
	rule.read(legacyWords(text))
	chain.Rules = append(chain.Rules, rule)
	return true
}

// read takes a rule's words.
func (r *LegacyRule) read(words []string) {
	var not bool
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "!" {
			not = true
			continue
		}
		option := LegacyOption{Name: word, Not: not, OfTarget: r.Target != ""}
		for not = false; i+1 < len(words) && words[i+1] != "!" && !isLegacyOption(words[i+1]); i++ {
			option.Values = append(option.Values, strings.TrimPrefix(words[i+1], quotedWord))
		}
		value := strings.Join(option.Values, " ")
		switch word {
		case "-m":
			r.Modules = append(r.Modules, value)
		case "-j", "-g":
			r.Target, r.Goto = value, word == "-g"
		case "--comment":
			r.Comment = value
		default:
			r.Options = append(r.Options, option)
		}
	}
}

// quotedWord is before a word that stood in quotes, and so is no option.
const quotedWord = "\x00"

func isLegacyOption(word string) bool {
	return len(word) > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9')
}

// legacyWords splits a rule as a shell would.
func legacyWords(text string) (words []string) {
	var word strings.Builder
	var open, quoted, escaped bool
	end := func() {
		if word.Len() > 0 || open {
			words = append(words, word.String())
		}
		word.Reset()
		open = false
	}
	for _, c := range text {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quoted:
			escaped = true
		case c == '"':
			if !quoted && word.Len() == 0 {
				word.WriteString(quotedWord)
			}
			quoted, open = !quoted, true
		case c == ' ' && !quoted:
			end()
		default:
			word.WriteRune(c)
		}
	}
	end()
	return words
}
