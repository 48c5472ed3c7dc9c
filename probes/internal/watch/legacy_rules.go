package watch

import (
	"os/exec"
	"regexp"
	"strings"

	"github.com/nstest/nstest/harness/inspect"

	"github.com/nstest/nstest/probes/evidence"
)

// legacyChain is a chain of iptables-legacy.
type legacyChain struct {
	program, table, name string
	drops                bool     // its policy
	rules                []string // as iptables-save has them, without -A and the chain
}

// readLegacy reads all chains of the calling thread's namespace, by program and place.
func readLegacy() (map[string]*legacyChain, error) {
	chains := map[string]*legacyChain{}
	for _, program := range inspect.LegacyPrograms() {
		path := found(program + "-save")
		if path == "" {
			return nil, exec.ErrNotFound
		}
		text, err := exec.Command(path).Output()
		if err != nil {
			return nil, err
		}
		addChains(chains, program, string(text))
	}
	return chains, nil
}

// addChains reads what iptables-save prints.
func addChains(chains map[string]*legacyChain, program, text string) {
	var table string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			if fields := strings.Fields(line[1:]); len(fields) >= 2 {
				chains[program+" "+table+" "+fields[0]] = &legacyChain{program: program, table: table, name: fields[0], drops: fields[1] == "DROP"}
			}
		case strings.HasPrefix(line, "-A "):
			name, rule, _ := strings.Cut(line[len("-A "):], " ")
			if chain := chains[program+" "+table+" "+name]; chain != nil {
				chain.rules = append(chain.rules, rule)
			}
		}
	}
}

var (
	quoted        = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`) // which may hold anything
	legacyTarget  = regexp.MustCompile(`(?:^| )-[jg] (\S+)`)
	legacyComment = regexp.MustCompile(`(?:^| )-m comment --comment (?:"((?:[^"\\]|\\.)*)"|(\S+))`)
)

// dropper is the rule, or the policy, that an event says a packet's end is; nil where
// the packet goes on.
func (c *legacyChain) dropper(e legacyEvent) *evidence.Rule {
	if c == nil {
		return nil
	}
	if e.kind != "rule" && e.number >= 1 && e.number <= len(c.rules) {
		e.kind = "rule" // one without conditions: the kernel takes it for the chain's end
	}
	if e.kind == "policy" {
		if c.drops {
			return c.at(0)
		}
		return nil
	}
	if e.kind != "rule" || e.number < 1 || e.number > len(c.rules) {
		return nil
	}
	_, target := c.target(e.number)
	if target != "DROP" && target != "REJECT" {
		return nil
	}
	r := c.at(e.number)
	r.Rejects = target == "REJECT"
	return r
}

// at is a rule by its number, or with 0 the policy.
func (c *legacyChain) at(number int) *evidence.Rule {
	r := &evidence.Rule{Family: c.program, Table: c.table, Chain: c.name, Handle: uint64(number)}
	if number >= 1 && number <= len(c.rules) {
		r.Comment, r.Text = legacyText(c.rules[number-1])
	}
	return r
}

// target is where a rule leads packets, "" for nowhere, and its text without what is quoted.
func (c *legacyChain) target(number int) (plain, target string) {
	plain = quoted.ReplaceAllString(c.rules[number-1], `""`)
	if found := legacyTarget.FindStringSubmatch(plain); found != nil {
		target = found[1]
	}
	return plain, target
}

// legacyText is a rule without its comment, and that.
func legacyText(text string) (comment, rest string) {
	found := legacyComment.FindStringSubmatch(text)
	if found == nil {
		return "", text
	}
	return strings.ReplaceAll(found[1]+found[2], `\"`, `"`), strings.TrimSpace(legacyComment.ReplaceAllString(text, ""))
}
