package evidence

import (
	"fmt"
	"strings"
)

// Rule is what decided about a packet: an nftables rule, or a chain's policy.
type Rule struct {
	Family, Table, Chain string
	// Handle is the rule's number in its table; 0 for a policy.
	Handle uint64
	// Text is the rule as nft prints it, without comment and counters; "" where it
	// cannot be had.
	Text string
	// Comment is the rule's comment.
	Comment string
	// Rejects is true when the rule does not only drop, but says so to the sender.
	Rejects bool
}

// IsPolicy says whether it is a chain's policy.
func (r *Rule) IsPolicy() bool { return r.Handle == 0 }

// Name is what a test may call it by: the comment, else the rule's text, else its
// place; a policy is "policy inet filter forward".
func (r *Rule) Name() string {
	place := strings.Join([]string{r.Family, r.Table, r.Chain}, " ")
	switch {
	case r.IsPolicy():
		return "policy " + place
	case r.Comment != "":
		return r.Comment
	case r.Text != "":
		return r.Text
	}
	return fmt.Sprintf("%s handle %d", place, r.Handle)
}

// Is says whether name means this rule: the exact comment, the exact text (white
// space aside), the policy, or its place where it has neither.
func (r *Rule) Is(name string) bool {
	text := strings.Join(strings.Fields(name), " ")
	return text != "" && (name == r.Comment || text == r.Text || r.Comment == "" && text == r.Name())
}

// String is the rule with its place.
func (r *Rule) String() string {
	place := strings.Join([]string{r.Family, r.Table, r.Chain}, " ")
	if r.IsPolicy() {
		return "policy drop of " + place
	}
	text := fmt.Sprintf("rule %d of %s", r.Handle, place)
	if r.Text != "" {
		text = fmt.Sprintf("rule %q of %s", r.Text, place)
	}
	if r.Comment != "" {
		text += fmt.Sprintf(" (%q)", r.Comment)
	}
	return text
}
