package evidence

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rule is what decided about a packet: an nftables rule, or a chain's policy.
type Rule struct {
	Family, Table, Chain string
	// Handle is the rule's number in its table; 0 for a policy.
	Handle uint64
	// Text is the rule as nft prints it, without comment and counters; "" where it
	// cannot be had, and where it was not read yet: see Words.
	Text string
	// Iptables is the rule as iptables-save prints it, without comment and counters,
	// where iptables-nft made it; "" otherwise. Of iptables-legacy's that is Text.
	Iptables string
	// Comment is the rule's comment.
	Comment string
	// Rejects is true when the rule does not only drop, but says so to the sender.
	Rejects bool

	later *later // what reads the text; nil without one
}

// IsPolicy says whether it is a chain's policy.
func (r *Rule) IsPolicy() bool { return r != nil && r.Handle == 0 }

// Name is what a test may call it by: the comment, else the rule's text, else its
// place; a policy is "policy inet filter forward".
func (r *Rule) Name() string {
	switch {
	case r == nil:
		return ""
	case r.IsPolicy():
		return "policy " + r.Place()
	case r.Comment != "":
		return r.Comment
	case r.Words() != "":
		return r.Words()
	}
	return fmt.Sprintf("%s handle %d", r.Place(), r.Handle)
}

// Place is the chain that it is in: inet filter forward.
func (r *Rule) Place() string {
	if r == nil {
		return ""
	}
	return strings.Join([]string{r.Family, r.Table, r.Chain}, " ")
}

// Is says whether name means this rule: the exact comment; or, white space aside, the
// rule's text in the words of nft or iptables, its chain ("inet filter forward"), or
// what String and Name are. A policy is "policy drop of inet filter forward", "policy
// inet filter forward", or its chain.
func (r *Rule) Is(name string) bool {
	text := words(name)
	if r == nil || text == "" {
		return false
	}
	if name == r.Comment {
		return true
	}
	own := []string{r.Place(), words(r.String())}
	if r.IsPolicy() {
		return slices.Contains(append(own, r.Name()), text)
	}
	if r.Comment == "" {
		own = append(own, words(r.Name()))
	}
	return slices.Contains(append(own, r.Words()), text) || r.isIptables(text)
}

// isIptables says whether a text is the rule in iptables' words, as iptables-save
// prints them, or as they may be given to it.
func (r *Rule) isIptables(text string) bool {
	own := r.iptables()
	if strings.HasSuffix(r.Family, "-legacy") {
		own = r.Text
	}
	text = iptablesComment.ReplaceAllString(text, "")
	for _, option := range []string{"-A ", "-I ", "--append ", "--insert "} {
		if rest, ok := strings.CutPrefix(text, option+r.Chain+" "); ok {
			text = rest
			break
		}
	}
	return own != "" && plainIptables(text) == plainIptables(own)
}

// What iptables adds by itself: the match of a protocol that has one of its name.
var (
	iptablesMatch   = regexp.MustCompile(`(?:^| )-m (?:tcp|udp|icmp|icmp6)(?: |$)`)
	iptablesComment = regexp.MustCompile(` ?-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)`)
)

func plainIptables(text string) string {
	return words(iptablesMatch.ReplaceAllString(" "+words(text)+" ", " "))
}

// words are a text's with single spaces in between.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// String is the rule with its place.
func (r *Rule) String() string {
	if r == nil {
		return "no rule"
	}
	place := r.Place()
	if r.IsPolicy() {
		return "policy drop of " + place
	}
	text := fmt.Sprintf("rule %d of %s", r.Handle, place)
	if r.Words() != "" {
		text = fmt.Sprintf("rule %q of %s", r.Words(), place)
	}
	if r.Comment != "" {
		text += fmt.Sprintf(" (%q)", r.Comment)
	}
	return text
}
