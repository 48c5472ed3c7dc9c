package policy

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Fate is what was found of a rule or a chain's policy.
type Fate int

const (
	// NotModelled: neither was a packet found that meets it, nor can it be said that there is none. Why
	// says what stands in the way.
	NotModelled Fate = iota
	// Decided: it gave a packet its verdict. Witness is the packet.
	Decided
	// Redundant: it decided, but without it every packet meets the same verdict: another rule, or the policy, stands
	// for it. Two that stand for one another both are. Witness is a packet that it decided, Without what became of that when the
	// rule was gone.
	Redundant
	// Matched: a packet met it, and it did what it does, which is no verdict: it counts, marks, logs,
	// jumps or returns. Witness is the packet.
	Matched
	// Shadowed: earlier rules take every packet that it matches, whatever they do with them. By names them.
	Shadowed
	// Unreferenced: no hook leads to its chain.
	Unreferenced
	// Unreachable: no packet that it matches can come to the hook. Why says what takes it.
	Unreachable
	// Needs: what this lab can send does not meet it. Why says what would be needed.
	Needs
)

var fateWords = []string{"not modelled", "decided", "redundant", "matched", "shadowed", "unreferenced", "unreachable", "needs"}

// String is the word.
func (f Fate) String() string {
	if f < 0 || int(f) >= len(fateWords) {
		return fmt.Sprintf("fate %d", int(f))
	}
	return fateWords[f]
}

// MarshalText is the word.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the word.
func (f *Fate) UnmarshalText(text []byte) error {
	at := slices.Index(fateWords, string(text))
	if at < 0 {
		return fmt.Errorf("there is no fate %q", text)
	}
	*f = Fate(at)
	return nil
}

// Rule is a rule, or a base chain's policy, with its fate.
type Rule struct {
	// Family, Table and Chain are where it stands, in nft's words.
	Family, Table, Chain string
	// Position is its place in the chain, from 1; 0 is the policy.
	Position int
	// Text is the rule as nft prints it, or as iptables-save does where nft has no words for it, or "policy drop"; without
	// nft its place.
	Text string
	// Comment is its own, or "".
	Comment string

	Fate Fate
	// Witness are packets in the order in which they were sent; the last one met the rule. Those before it
	// opened the connection that it belongs to.
	Witness []Packet
	// With is what became of the witness. Without is what does when the rule is gone, as the kernel showed: of a rule
	// that is Decided it is another verdict; nil where none was found.
	With, Without *Verdict
	// Answered says that an answer to the witness, or to what opened its connection, comes through as well, and in TCP
	// what follows. It is asked where both ends are nodes, and no address is translated.
	Answered bool
	// Drawn is the rule by which chance, or a count of packets, decides about the witness: another time it may meet another verdict; "" where none does.
	Drawn string `json:",omitempty"`
	// By are the places and texts of the rules that shadow it.
	By []string
	// Why is a clause: what is needed, what takes its packets, which expression is not modelled. Of a rule that is
	// Decided it says why no packet is told that meets another verdict without it; "" where Without does.
	Why string
}

// String is the rule in a line: "rule 2 of inet filter forward (tcp dport 22 accept): shadowed by ...".
func (r Rule) String() string {
	text := fmt.Sprintf("%s: %s", r.where(), r.Fate)
	if told := r.told(); told != "" {
		text += ": " + told
	}
	if r.Fate == Decided && r.Without != nil {
		text += "; without it " + r.Without.String()
	}
	return text
}

func (r Rule) where() string {
	if r.Position == 0 {
		return fmt.Sprintf("%s of %s %s %s", r.Text, r.Family, r.Table, r.Chain)
	}
	return fmt.Sprintf("rule %d of %s %s %s (%s)", r.Position, r.Family, r.Table, r.Chain, r.Text)
}

// told is what goes with the fate.
func (r Rule) told() string {
	switch {
	case r.Fate == Redundant:
		return packetsText(r.Witness) + "; without it " + r.Without.String()
	case len(r.Witness) > 0:
		return packetsText(r.Witness)
	case len(r.By) > 0:
		return "by " + strings.Join(r.By, ", ")
	}
	return r.Why
}

// Report is what became of every rule and every chain policy of a node.
type Report struct {
	Lab, Node string
	// Rules are in the order of tables and chains; a base chain's policy is after its rules.
	Rules []Rule
	// Packets is how many were sent.
	Packets int
}

// Of are the rules that have one of these fates.
func (r Report) Of(fates ...Fate) (some []Rule) {
	for _, rule := range r.Rules {
		if slices.Contains(fates, rule.Fate) {
			some = append(some, rule)
		}
	}
	return some
}

// ExitCode is what a program of CI ends with: 0 where packets come to every rule and none is redundant, 1 where a rule is shadowed,
// unreferenced, unreachable or redundant, 2 where none is known to be and not all is known.
func (r Report) ExitCode() int {
	switch {
	case len(r.Of(Shadowed, Unreferenced, Unreachable, Redundant)) > 0:
		return 1
	case len(r.Of(Needs, NotModelled)) > 0:
		return 2
	}
	return 0
}

// String is a table, chain by chain, below a line with the sums.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rules and policies: %s\n", r.Node, len(r.Rules), r.sums())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	chain := ""
	for _, rule := range r.Rules {
		if at := rule.Family + " " + rule.Table + " " + rule.Chain; at != chain {
			_ = w.Flush()
			fmt.Fprintln(&b, at)
			chain = at
		}
		number := "-"
		if rule.Position > 0 {
			number = fmt.Sprint(rule.Position)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", number, rule.Text, rule.Fate, rule.told())
	}
	_ = w.Flush()
	return b.String()
}

func (r Report) sums() string {
	var parts []string
	for _, f := range []Fate{Decided, Redundant, Matched, Shadowed, Unreferenced, Unreachable, Needs, NotModelled} {
		if n := len(r.Of(f)); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, f))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
