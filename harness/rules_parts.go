package harness

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A transaction of nftables is one netlink message, which the kernel takes up to twice
// net.core.wmem_max (socket(7)); root alone may exceed that (SO_SNDBUFFORCE). An ordinary
// user's larger text is loaded in parts. Its new tables are dormant meanwhile (nft(8)), and
// come to life in one transaction, the last.

// piece is what is not taken apart: of a text, in its order.
type piece struct {
	open, close string // what it stands in: "table inet f { chain c {" and "} }"
	text        string
	separator   string // between two that stand in the same
}

// rulesetParts is nftables text as pieces that can be loaded one after another.
type rulesetParts struct {
	pieces []piece
	// defines are its variables, which each part needs.
	defines []string
	// had are the tables that there were before, "inet f"; made and touched are those that
	// the text makes and adds to, and asleep those that are dormant till all is loaded.
	had, made, touched, asleep []string
	flushes                    bool
}

// takeApart takes nftables text apart, for a namespace that has tables.
func takeApart(text string, had []string) *rulesetParts {
	r := &rulesetParts{had: had}
	for _, s := range statements(text) {
		words := s.words()
		if len(words) > 1 && (words[0] == "add" || words[0] == "create") && words[1] == "table" {
			words = words[1:]
		}
		switch {
		case slices.Contains([]string{"define", "redefine", "undefine"}, words[0]):
			r.defines = append(r.defines, s.text)
		case words[0] == "table" && len(words) > 1:
			r.table(strings.Join(words[1:], " "), statements(s.body))
		default:
			r.flushes = r.flushes || slices.Contains([]string{"flush", "delete", "destroy", "reset"}, words[0])
			if slices.Equal(words, []string{"flush", "ruleset"}) {
				r.had = nil
			}
			r.pieces = append(r.pieces, piece{text: s.text, close: "\n"})
		}
	}
	return r
}

// begin is how each part of a table begins. A new one is dormant, unless it has flags of
// its own.
func (r *rulesetParts) begin(name string, body []statement) string {
	flags := slices.ContainsFunc(body, func(s statement) bool { return s.words()[0] == "flags" })
	switch {
	case slices.Contains(r.had, name):
		r.touched = append(r.touched, name)
	case !slices.Contains(r.made, name):
		if r.made = append(r.made, name); !flags {
			r.asleep = append(r.asleep, name)
		}
	}
	if slices.Contains(r.asleep, name) {
		return "table " + name + " {\nflags dormant\n"
	}
	return "table " + name + " {\n"
}

// table takes a table's body apart: what it declares is one piece, then come the elements
// of its sets, and the rules of its chains.
func (r *rulesetParts) table(name string, body []statement) {
	if !strings.Contains(name, " ") {
		name = "ip " + name
	}
	open := r.begin(name, body)
	var declared []string
	var rest []piece
	for _, s := range body {
		words := s.words()
		switch {
		case words[0] == "define":
			r.defines = append(r.defines, s.text)
		case len(words) == 2 && words[0] == "chain" && s.braces:
			is, rules := chainOf(s.body)
			declared = append(declared, s.head+" {\n"+is+"\n}")
			for _, rule := range rules {
				rest = append(rest, piece{open: open + s.head + " {\n", close: "\n}\n}\n", text: rule, separator: "\n"})
			}
		case len(words) == 2 && (words[0] == "set" || words[0] == "map") && s.braces:
			is, has := setOf(s.body)
			declared = append(declared, s.head+" {\n"+is+"\n}")
			for _, e := range has {
				rest = append(rest, piece{open: "add element " + name + " " + words[1] + " { ", close: " }\n", text: e, separator: ", "})
			}
		default:
			declared = append(declared, s.text)
		}
	}
	r.pieces = append(append(r.pieces, piece{open: open, close: "\n}\n", text: strings.Join(declared, "\n")}), rest...)
}

// chainOf is a chain's body, apart: what the chain is, and its rules.
func chainOf(body string) (is string, rules []string) {
	for _, s := range statements(body) {
		if slices.Contains([]string{"type", "policy", "comment", "flags", "device", "devices"}, s.words()[0]) {
			is += s.text + "\n"
		} else {
			rules = append(rules, s.text)
		}
	}
	return is, rules
}

// setOf is the body of a set or map, apart: what it is, and its elements.
func setOf(body string) (is string, has []string) {
	for _, s := range statements(body) {
		if strings.HasPrefix(s.head, "elements") && s.braces {
			has = append(has, elements(s.body)...)
		} else {
			is += s.text + "\n"
		}
	}
	return is, has
}

// part is the nftables text of pieces that follow one another.
func (r *rulesetParts) part(pieces []piece) string {
	var b strings.Builder
	for _, d := range r.defines {
		b.WriteString(d + "\n")
	}
	for i, p := range pieces {
		if i == 0 || p.open != pieces[i-1].open || p.open == "" {
			b.WriteString(p.open)
		} else {
			b.WriteString(p.separator)
		}
		b.WriteString(p.text)
		if i == len(pieces)-1 || p.open != pieces[i+1].open || p.open == "" {
			b.WriteString(p.close)
		}
	}
	return b.String()
}

// iptablesInParts loads iptables-save text that is too large for one transaction.
func iptablesInParts(text string, run func(string) error) error {
	r := &rulesetParts{}
	table, chains := piece{close: "\nCOMMIT\n", separator: "\n"}, []string(nil)
	declare := func() {
		if len(chains) > 0 {
			r.pieces = append(r.pieces, piece{table.open, table.close, strings.Join(chains, "\n"), "\n"})
		}
		chains = nil
	}
	for _, line := range strings.Split(text, "\n") {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#' || line == "COMMIT":
			declare()
		case line[0] == '*':
			declare()
			table.open = line + "\n"
		case line[0] == ':':
			chains = append(chains, line)
		default:
			declare()
			r.pieces = append(r.pieces, piece{table.open, table.close, line, "\n"})
		}
	}
	all := len(r.pieces)
	err := r.load(run)
	if err != nil && len(r.pieces) < all {
		return fmt.Errorf("%w; it %s", err, inPart)
	}
	return err
}

// inPart is said where not all of a text could be loaded, nor undone.
const inPart = "is too large for one transaction of an ordinary user (net.core.wmem_max), and a part of it is loaded"

// load loads pieces, so many at a time as the kernel takes, till none is left.
func (r *rulesetParts) load(run func(string) error) error {
	for n := len(r.pieces); len(r.pieces) > 0; {
		n = min(n, len(r.pieces))
		err := run(r.part(r.pieces[:n]))
		switch {
		case errors.Is(err, unix.EMSGSIZE) && n > 1:
			n = (n + 1) / 2
		case err != nil:
			return err
		default:
			r.pieces = r.pieces[n:]
		}
	}
	return nil
}

// nftInParts loads text that is too large for one transaction.
func (n *Node) nftInParts(path, text string) error {
	out, err := n.pipe("", path, "list", "tables")
	if err != nil {
		return &textError{"nft", out, err}
	}
	r := takeApart(text, strings.Split(strings.ReplaceAll(strings.TrimSpace(string(out)), "table ", ""), "\n"))
	run := func(text string) error { return n.runNft(path, text) }
	if err = r.load(run); err == nil {
		return run(each("add table %s\n", r.asleep))
	}
	err = errors.Join(err, run(each("add table %s\ndelete table %[1]s\n", r.made)))
	if r.flushes || len(r.touched) > 0 {
		return fmt.Errorf("%w; it %s", err, inPart)
	}
	return err
}

func each(format string, names []string) (text string) {
	for _, name := range names {
		text += fmt.Sprintf(format, name)
	}
	return text
}
