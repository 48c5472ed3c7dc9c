package account

import (
	"fmt"
	"slices"
	"strings"
)

// String is the packet in plain English: "request: out at client/lan, in at fw/lan,
// dropped by rule 7 of inet filter forward".
func (p Packet) String() string {
	var text strings.Builder
	if p.Piece().is() {
		text.WriteString("fragment of the ")
	}
	text.WriteString(p.Role.String())
	switch {
	case p.Stray:
		text.WriteString(" in a frame for another host")
	case p.Copy:
		fmt.Fprintf(&text, " copied at %s", p.From)
	}
	var steps []string
	for _, place := range p.Way {
		steps = append(steps, place.String())
	}
	if end := p.end(); end != "" {
		steps = append(steps, end)
	}
	return text.String() + ": " + strings.Join(steps, ", ")
}

// String is the place in a few words: in at fw/lan.
func (p Place) String() string {
	at := where(p.Node, p.Interface)
	switch p.Direction {
	case In:
		return "in at " + at
	case Out:
		return "out at " + at
	}
	return "at " + at
}

func where(node, link string) string {
	if link == "" {
		return node
	}
	return node + "/" + link
}

// end is the end, after the way: where it ended is said when it is not the way's last.
func (p Packet) end() string {
	text := p.End.String()
	if p.End.Kind == Unsent {
		return fmt.Sprintf("given to the kernel of %s and seen nowhere", p.End.Node)
	}
	if len(p.Way) > 0 && p.Way[len(p.Way)-1].Node == p.End.Node {
		return text
	}
	return text + " at " + p.End.Node
}

// String is the end without its node: dropped by policy drop of inet filter forward.
func (e End) String() string {
	if e.Kind == Dropped || e.Rule != nil {
		return e.Words() + " by " + e.Rule.String()
	}
	return e.Words()
}

// Words are the end without its node and its rule.
func (e End) Words() string {
	switch e.Kind {
	case Dropped:
		return "dropped"
	case Delivered:
		if e.Seen {
			return "let in"
		}
		return "and what became of it was not seen"
	case Waiting:
		return fmt.Sprintf("passed the rules for %s and did not leave", e.Interface)
	case Taken:
		return fmt.Sprintf("taken (%s)", e.Took)
	case Died:
		switch {
		case e.Hook != 0:
			return fmt.Sprintf("last seen in %s", e.Hook)
		case e.Bridge:
			return "not bridged on"
		}
		return "did not leave"
	case OnTheLink:
		return "came in nowhere"
	case Strayed:
		return "not for this node"
	case Unsent:
		return "given to the kernel and seen nowhere"
	}
	return "nobody watches where it went"
}

// String is the hook as nft has it.
func (h Hook) String() string {
	names := [...]string{"no hook", "ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"}
	if h < 0 || int(h) >= len(names) {
		return names[0]
	}
	return names[h]
}

// String is the rule's text, or its place: rule 7 of inet filter forward.
func (r *Rule) String() string {
	switch {
	case r == nil:
		return "a rule"
	case r.Text != "":
		return r.Text
	case r.Handle == 0:
		return fmt.Sprintf("policy drop of %s %s %s", r.Family, r.Table, r.Chain)
	}
	return fmt.Sprintf("rule %d of %s %s %s", r.Handle, r.Family, r.Table, r.Chain)
}

// Open says, a sentence each, what keeps the account of a role from being closed; none
// when it is.
func (a Account) Open(role Role) (why []string) {
	if a.Lost != "" {
		why = append(why, a.Lost)
	}
	packets := a.of(role)
	if len(packets) == 0 {
		return append(why, fmt.Sprintf("no %s was seen", role))
	}
	for _, node := range a.opaque(role) {
		why = append(why, fmt.Sprintf("%s may have copied the %s unseen: %s", node, role, a.in.Nodes[node].Opaque))
	}
	for _, p := range packets {
		for _, sentence := range a.opens(p) {
			if !slices.Contains(why, sentence) {
				why = append(why, sentence)
			}
		}
	}
	return why
}

// opens are the sentences about a packet that is open.
func (a Account) opens(p Packet) (why []string) {
	switch {
	case p.Gap && p.Relayed != "":
		why = append(why, fmt.Sprintf("the %s left %s as it had come, by a program or a mirror: it may be there still", p.Role, p.Relayed))
	case p.Gap:
		why = append(why, fmt.Sprintf("the %s was lost from sight on its way, and seen again", p.Role))
	}
	if !p.End.Seen {
		why = append(why, a.ended(p))
	}
	return why
}

// ended is the sentence about an end that was not seen.
func (a Account) ended(p Packet) string {
	e, at := p.End, where(p.End.Node, p.End.Interface)
	switch {
	case e.Kind == Waiting:
		n := a.books[p.Role][e.Node]
		return fmt.Sprintf("%d passed the rules at %s and %s left", n.passed, e.Node, number(n.left))
	case e.Kind == Unsent:
		return fmt.Sprintf("the kernel of %s was given a %s that was seen nowhere", e.Node, p.Role)
	case e.Kind == OnTheLink:
		return fmt.Sprintf("the %s left %s and came in nowhere", p.Role, at)
	case e.Kind == Unknown:
		return fmt.Sprintf("the %s left %s, where nobody watches", p.Role, at)
	case e.Kind == Taken:
		return fmt.Sprintf("the %s was %s at %s", p.Role, e, e.Node)
	case e.Kind == Delivered:
		return fmt.Sprintf("the %s came in at %s, and what became of it was not seen", p.Role, at)
	case e.Hook != 0:
		return fmt.Sprintf("the %s came to %s at %s and no farther", p.Role, e.Hook, e.Node)
	case e.Bridge:
		return fmt.Sprintf("the %s came in at %s, and the bridge there did not hand it on", p.Role, at)
	}
	return fmt.Sprintf("the %s came in at %s and did not leave", p.Role, at)
}

func number(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
