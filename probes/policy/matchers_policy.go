package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onsi/gomega/types"
)

// MatchPolicy compares a Policy, as Of measures it, with a text in the test, as Policy.String prints it: a line with a pair of zones, then
// a line for each part of a class, in any order. In a line "..." stands for anything: `tcp 22: dropped by ...`. A line "..." stands for all lines of
// the flow that no other one is about, and in the place of a zone it stands for all flows that no other line names: "fw -> ...:". Space at a line's ends, empty
// lines and those that begin with # do not count. A flow that only one of the two has is an error: to leave one out would be a check that
// never ran.
func MatchPolicy(text string) types.GomegaMatcher { return &policyMatcher{text: text} }

type policyMatcher struct {
	text      string
	got       *Policy
	differing []string
}

// Match is false where a line differs. An error is for an actual that is no Policy, a text that cannot be read, and flows
// that only one of them has.
func (m *policyMatcher) Match(actual any) (bool, error) {
	m.got, _ = actual.(*Policy)
	if p, is := actual.(Policy); is {
		m.got = &p
	}
	if m.got == nil {
		return false, fmt.Errorf("MatchPolicy wants a policy.Policy; it got a %T", actual)
	}
	want, err := parsePolicy(m.text)
	if err == nil {
		m.differing, err = want.compare(m.got)
	}
	if err != nil {
		return false, fmt.Errorf("MatchPolicy: %w", err)
	}
	return len(m.differing) == 0, nil
}

// FailureMessage has what was expected, what was observed, and the differing lines, each with a packet that shows it.
func (m *policyMatcher) FailureMessage(any) string {
	return fmt.Sprintf("the firewall %s does not do what was expected\n%s\nit does\n%s\ndiffering\n%s\n"+
		"If it is meant to, the lines that are observed belong into the test; else look at the rules that they name.",
		m.got.Node, indent(outdent(m.text)), indent(m.got.String()), strings.Join(m.differing, "\n"))
}

// NegatedFailureMessage is for a NotTo whose policy does match.
func (m *policyMatcher) NegatedFailureMessage(any) string {
	return "expected another policy than\n" + indent(m.got.String())
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// outdent takes away the space that all lines begin with.
func outdent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	least := -1
	for _, line := range lines {
		if rest := strings.TrimLeft(line, " \t"); rest != "" && (least < 0 || len(line)-len(rest) < least) {
			least = len(line) - len(rest)
		}
	}
	for i, line := range lines {
		lines[i] = line[min(max(least, 0), len(line)):]
	}
	return strings.TrimRight(strings.Join(lines, "\n"), " \t\n")
}

// anything stands for what is not compared.
const anything = "..."

// policyText is a policy as a test writes it.
type policyText struct {
	flows []*flowText
	notes flowText
}

// flowText are lines that are about some flows.
type flowText struct {
	from, to string
	lines    []string
	asked    bool // a flow was compared with it
}

// parsePolicy reads a text.
func parsePolicy(text string) (*policyText, error) {
	made := &policyText{}
	var now []*flowText
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.Join(strings.Fields(line), " ")
		from, to, heads := strings.Cut(strings.TrimSuffix(line, ":"), " -> ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, notTold):
			made.notes.lines = append(made.notes.lines, line)
		case heads && strings.HasSuffix(line, ":"):
			now = nil
			for _, name := range strings.Split(to, ",") {
				f := &flowText{from: from, to: strings.TrimSpace(name)}
				if slices.ContainsFunc(made.flows, func(o *flowText) bool { return o.from == f.from && o.to == f.to }) {
					return nil, fmt.Errorf("line %d: %s -> %s stands there twice", number, f.from, f.to)
				}
				now = append(now, f)
			}
			made.flows = append(made.flows, now...)
		case len(now) == 0:
			return nil, fmt.Errorf(`line %d: %q is before any flow: begin with a line like "lan -> dmz:"`, number, line)
		default:
			for _, f := range now {
				f.lines = append(f.lines, line)
			}
		}
	}
	if len(made.flows) == 0 {
		return nil, fmt.Errorf(`no flows: write a line like "lan -> dmz:", then its lines as Policy.String prints them`)
	}
	return made, nil
}

// of is what is expected of a flow: what names both zones, or else one, or stands for all.
func (t *policyText) of(f *Flow) (best *flowText) {
	most := -1
	for _, o := range t.flows {
		if names := o.names(f); names > most {
			best, most = o, names
		}
	}
	return best
}

// names is how many of a flow's zones a text names; -1 where it is about other flows.
func (o *flowText) names(f *Flow) (count int) {
	for _, pair := range [][2]string{{o.from, f.From}, {o.to, f.To}} {
		switch pair[0] {
		case pair[1]:
			count++
		case anything:
		default:
			return -1
		}
	}
	return count
}

// isIdle says whether a text stands for flows that others do not name, and asks nothing of them.
func (o *flowText) isIdle() bool {
	asks := slices.ContainsFunc(o.lines, func(line string) bool { return line != anything })
	return (o.from == anything || o.to == anything) && !asks
}

// compare are the lines that differ, in words.
func (t *policyText) compare(p *Policy) (differing []string, err error) {
	for i := range p.Flows {
		f := &p.Flows[i]
		want := t.of(f)
		if want == nil {
			return nil, fmt.Errorf("flow %s -> %s is missing from the text: add it, with %q for what is not to be compared. It is\n%s", f.From, f.To, anything, indent(f.body()))
		}
		want.asked = true
		if lines := want.compare(f.lines()); len(lines) > 0 {
			differing = append(differing, fmt.Sprintf("  %s -> %s:", f.From, f.To))
			differing = append(differing, lines...)
		}
	}
	for _, f := range t.flows {
		if !f.asked && !f.isIdle() {
			return nil, fmt.Errorf("the policy of %s has no flow %s -> %s; it has: %s", p.Node, f.from, f.to, p.pairs())
		}
	}
	var notes []told
	for _, n := range p.Notes {
		notes = append(notes, told{text: notTold + " " + n})
	}
	return append(differing, t.notes.compare(notes)...), nil
}

// pairs are all flows, by their zones.
func (p *Policy) pairs() string {
	var all []string
	for _, f := range p.Flows {
		all = append(all, f.From+" -> "+f.To)
	}
	return strings.Join(all, ", ")
}
