package policy

import (
	"bufio"
	"fmt"
	"go/format"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Suggest is Go source, a file of a package: a function with the probes that a test needs for the rules which no test has tried.
// Tried are files that NSTEST_RULE_COVERAGE names; without any, all rules are asked for that packets met. The function takes the test's TB and lab, as the lab is
// when its rules are those of the report; it serves what it asks for.
//
// Rules whose packets no probe of a node is (from nobody's address, of a connection that it does not open), or about which chance decides, are
// listed in a comment, with the packet. The error is that of a file that cannot be read.
func (r Report) Suggest(pkg string, tried ...string) (string, error) {
	seen := map[triedRule]bool{}
	for _, name := range tried {
		if err := readTried(seen, name); err != nil {
			return "", fmt.Errorf("suggest: %w", err)
		}
	}
	s := &suggestion{report: r}
	alike := map[triedRule]int{}
	for _, rule := range r.Rules {
		key := r.triedRule(rule)
		if rule.Position > 0 {
			alike[key]++
			key.ordinal = strconv.Itoa(alike[key])
		}
		if len(rule.Witness) > 0 && !seen[key] {
			s.add(rule)
		}
	}
	text, err := format.Source([]byte(s.file(pkg)))
	if err != nil {
		return "", fmt.Errorf("suggest: package %s: %w", pkg, err)
	}
	return string(text), nil
}

// triedRule is a rule as NSTEST_RULE_COVERAGE knows it.
type triedRule struct{ network, node, family, table, chain, ordinal, text string }

func (r Report) triedRule(rule Rule) triedRule {
	text := rule.Text
	if rule.Comment != "" && !strings.Contains(text, " comment ") {
		text += fmt.Sprintf(" comment %q", rule.Comment)
	}
	key := triedRule{r.Lab, r.Node, rule.Family, rule.Table, rule.Chain, "", strings.Join(strings.Fields(text), " ")}
	if rule.Position == 0 {
		key.ordinal = "0"
	}
	return key
}

func readTried(seen map[triedRule]bool, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	const fields = 8
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if len(f) == fields && f[0] != "never" {
			seen[triedRule{f[1], f[2], f[3], f[4], f[5], f[6], f[7]}] = true
		}
	}
	return lines.Err()
}

// suggestion is what Suggest writes.
type suggestion struct {
	report Report
	asks   []ask
	rest   []string
	serves []string
}

// ask is a statement, and the rules that it is for.
type ask struct {
	statement string
	rules     []string
}

func (s *suggestion) add(r Rule) {
	first := r.Witness[0]
	if r.Drawn != "" {
		s.rest = append(s.rest, fmt.Sprintf("%s: %s: %s, so that a probe may meet another verdict", r.where(), packetsText(r.Witness), r.Drawn))
		return
	}
	if !first.asked() || r.With == nil || len(r.Witness) > 1 && !r.Answered {
		s.rest = append(s.rest, r.where()+": "+packetsText(r.Witness))
		return
	}
	target := fmt.Sprintf("netip.MustParseAddr(%q), %s", first.Destination.Addr(), first.probe())
	matcher := "NotTo(probes.BeIsolatedFrom(" + target + "))"
	switch {
	case r.Answered:
		matcher = "To(probes.Reach(" + target + "))"
		if first.Protocol != protoICMP && first.Protocol != protoICMPv6 {
			s.serve(fmt.Sprintf("probes.Serve(tb, lab.Node(%q), %s)", first.To, first.probe()))
		}
	case !r.With.Passed && !r.With.Lost:
		matcher = fmt.Sprintf("To(probes.BeIsolatedFrom(%s).At(%q)%s)", target, s.report.Node, r.named())
	case r.With.Lost || r.translated():
		s.rest = append(s.rest, r.where()+": "+packetsText(r.Witness))
		return
	}
	statement := fmt.Sprintf("expect(lab.Node(%q)).%s", first.From, matcher)
	if at := slices.IndexFunc(s.asks, func(a ask) bool { return a.statement == statement }); at >= 0 {
		s.asks[at].rules = append(s.asks[at].rules, r.where())
		return
	}
	s.asks = append(s.asks, ask{statement, []string{r.where()}})
}

func (s *suggestion) serve(statement string) {
	if !slices.Contains(s.serves, statement) {
		s.serves = append(s.serves, statement)
	}
}

// named is the rule as BeIsolatedFrom's By takes it; "" where another one ends the packet, be it at a later hook.
func (r Rule) named() string {
	name := r.Comment
	switch {
	case r.With.By != r.where():
		return ""
	case r.Position == 0:
		name = r.where()
	case name == "":
		name = r.Text
	}
	return fmt.Sprintf(".By(%q)", name)
}

// probe is the packet as probes has it, in Go.
func (p *Packet) probe() string {
	switch p.Protocol {
	case protoTCP:
		return fmt.Sprintf("probes.TCP(%d)", p.Destination.Port())
	case protoUDP:
		return fmt.Sprintf("probes.UDP(%d)", p.Destination.Port())
	}
	return "probes.ICMP()"
}

func (s *suggestion) file(pkg string) string {
	var b strings.Builder
	name := "untriedRulesOf" + identifier(s.report.Node)
	fmt.Fprintf(&b, "package %s\n\nimport (\n", pkg)
	if len(s.asks) > 0 {
		fmt.Fprint(&b, "\"net/netip\"\n\n")
	}
	fmt.Fprint(&b, "\"github.com/nstest/nstest/harness\"\n")
	if len(s.asks) > 0 {
		fmt.Fprint(&b, "\"github.com/nstest/nstest/probes\"\n\"github.com/onsi/gomega\"\n")
	}
	fmt.Fprintf(&b, ")\n\n// %s tries what no test has tried of the rules of %s.\nfunc %s(tb harness.TB, lab *harness.Lab) {\ntb.Helper()\n", name, s.report.Node, name)
	for _, serve := range s.serves {
		fmt.Fprintln(&b, serve)
	}
	if len(s.asks) > 0 {
		fmt.Fprint(&b, "expect := gomega.NewWithT(tb).Expect\n")
	}
	for _, a := range s.asks {
		fmt.Fprintf(&b, "\n// %s\n%s\n", strings.Join(a.rules, "\n// "), a.statement)
	}
	if len(s.rest) > 0 {
		fmt.Fprintf(&b, "\n// No probe of a node is the packet of these:\n//   - %s\n", strings.Join(s.rest, "\n//   - "))
	}
	fmt.Fprint(&b, "}\n")
	return b.String()
}

// identifier is a node's name as part of one of Go.
func identifier(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}
