package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Verdict is what the kernel did with a packet at a node.
type Verdict struct {
	// Passed says that no rule stopped it: it was delivered to the node, or left it.
	Passed bool
	// Rejected says that a rule which stopped it told the sender so.
	Rejected bool
	// Refusal is how: "tcp reset", "icmp admin-prohibited"; "" where nobody was told.
	Refusal string
	// Lost says that the kernel took it between the rules: By is the last rule that it met, or "".
	Lost bool
	// By is the rule or policy that decided: its place, and its text.
	By string
	// Source and Destination are as it left, or was delivered; the port is 0 where there is none.
	Source, Destination netip.AddrPort
	// Out is the interface by which it left; "" where it was delivered, or stopped.
	Out string
	// TTL (IPv6's hop limit) and Class (DSCP and ECN) are those that it had then; 0 where it was stopped.
	TTL, Class uint8

	rule   string  // that decided, without its place in the chain
	by     *entry  // which that is, or nil
	packet *Packet // as it was sent
	heard  *heard
}

// String is what was done, and by which rule: "dropped by policy drop of inet filter forward".
func (v Verdict) String() string {
	text := "let through"
	switch {
	case v.Lost:
		text = "taken by the kernel, which has no way for it or does not take it,"
	case v.Rejected:
		text = "rejected"
	case !v.Passed:
		text = "dropped"
	}
	if v.By != "" {
		text += " by " + v.By
	}
	return text
}

// same says whether two verdicts are one for who sends and who receives.
func (v Verdict) same(o Verdict) bool {
	if v.Passed != o.Passed || v.Rejected != o.Rejected || v.Refusal != o.Refusal || v.Lost != o.Lost {
		return false
	}
	return !v.Passed || v.Source == o.Source && v.Destination == o.Destination && v.Out == o.Out && v.TTL == o.TTL && v.Class == o.Class
}

// Change is one kind of packets that two rulesets treat otherwise.
type Change struct {
	Node string
	// Witness are packets in the order in which they were sent; the verdicts are the last one's. Those before it
	// open the connection that it belongs to.
	Witness []Packet
	// Before and After are what each kernel did, when both were asked again.
	Before, After Verdict

	plain int // how much the witness is like what people send
}

// String is the change in the words of a reviewer.
func (c Change) String() string {
	return fmt.Sprintf("at %s %s: %s\n  before: %s\n  after:  %s", c.Node, c.word(), packetsText(c.Witness), c.Before.full(c), c.After.full(c))
}

func packetsText(packets []Packet) string {
	var all []string
	for _, p := range packets {
		all = append(all, p.String())
	}
	return strings.Join(all, "; then ")
}

// word says what became of the packets.
func (c Change) word() string {
	switch {
	case c.After.Passed && !c.Before.Passed:
		return "now is let through"
	case c.Before.Passed && !c.After.Passed && c.After.Lost:
		return "now is taken by the kernel"
	case c.Before.Passed && !c.After.Passed:
		return "now is stopped"
	case c.Before.Passed && c.Before.Destination != c.After.Destination:
		return "now goes to another"
	case c.Before.Passed && c.Before.Source != c.After.Source:
		return "now comes from another"
	case c.Before.Passed && c.Before.Out != c.After.Out:
		return "now leaves by another interface"
	case c.Before.Passed && c.Before.TTL != c.After.TTL:
		return "now has another TTL"
	case c.Before.Passed && c.Before.Class != c.After.Class:
		return "now has another traffic class"
	case c.Before.same(c.After):
		return "is decided by another rule"
	}
	return "is stopped another way"
}

// full is a verdict with where the packet went, where that is not where it was to go.
func (v Verdict) full(c Change) string {
	text := v.String()
	if len(c.Witness) == 0 {
		return text
	}
	if last := c.Witness[len(c.Witness)-1]; v.Passed {
		if v.Destination != last.Destination {
			text += ", to " + endText(v.Destination)
		}
		if v.Source != last.Source && v.Source.Port() != 0 {
			text += ", from " + endText(v.Source)
		}
		if c.Before.Passed && c.After.Passed {
			text += v.besides(c)
		}
	}
	return text
}

// besides is in what a packet that both let through differs, besides its ends.
func (v Verdict) besides(c Change) (text string) {
	if c.Before.Out != c.After.Out {
		text += ", out by " + v.Out
	}
	if c.Before.TTL != c.After.TTL {
		text += fmt.Sprintf(", with TTL %d", v.TTL)
	}
	if c.Before.Class != c.After.Class {
		text += fmt.Sprintf(", with traffic class %#02x", v.Class)
	}
	return text
}

// Difference is what a change of rules does.
type Difference struct {
	// Changes are one for each pair of rules that decide, in the order of the nodes.
	Changes []Change
	// Moved are packets that another rule decides now, alike.
	Moved []Change
	// Notes are what was not compared, and why.
	Notes []string
	// Packets is how many were sent.
	Packets int
}

// Empty says that no packet was found that is treated differently.
func (d Difference) Empty() bool { return len(d.Changes) == 0 }

// String is all that changed, one kind of packets after the other; how many another rule decides now, alike; and
// what was not compared.
func (d Difference) String() string {
	lines := []string{d.headline()}
	for _, c := range d.Changes {
		lines = append(lines, c.String())
	}
	if len(d.Moved) > 0 {
		lines = append(lines, d.movedLine())
	}
	for _, n := range d.Notes {
		lines = append(lines, "not compared: "+n)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (d Difference) headline() string {
	switch len(d.Changes) {
	case 0:
		return "no packet was found that is treated differently"
	case 1:
		return "1 kind of packet is treated differently:"
	}
	return fmt.Sprintf("%d kinds of packets are treated differently:", len(d.Changes))
}

func (d Difference) movedLine() string {
	if len(d.Moved) == 1 {
		return "1 more is decided by another rule, alike"
	}
	return fmt.Sprintf("%d more are decided by another rule, alike", len(d.Moved))
}

// ExitCode is what a program of CI ends with: 0 where no packet was found that is treated differently, 1 where one was, 2 where none was
// and not all could be compared.
func (d Difference) ExitCode() int {
	switch {
	case !d.Empty():
		return 1
	case len(d.Notes) > 0:
		return 2
	}
	return 0
}

// note says once what was not compared.
func (d *Difference) note(text string) {
	if !slices.Contains(d.Notes, text) {
		d.Notes = append(d.Notes, text)
	}
}

// add keeps one change for each pair of rules and family, by its plainest packet.
func (d *Difference) add(c Change) {
	to := &d.Changes
	if c.Before.same(c.After) {
		if to = &d.Moved; c.Before.rule == c.After.rule {
			return
		}
	}
	at := slices.IndexFunc(*to, c.isLike)
	switch {
	case at < 0:
		*to = append(*to, c)
	case (*to)[at].plain < c.plain:
		(*to)[at] = c
	}
}

// isLike says whether two changes are one kind: of one family, and by the same rules.
func (c Change) isLike(o Change) bool {
	v6 := func(c Change) bool { return c.Witness[0].Source.Addr().Is6() }
	return o.Node == c.Node && o.Before.By == c.Before.By && o.After.By == c.After.By && o.word() == c.word() && v6(c) == v6(o)
}
