package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Ending is what becomes of packets.
type Ending int

const (
	// Accepted: no rule stops them.
	Accepted Ending = iota
	// Dropped: a rule or a policy stops them, and tells nobody.
	Dropped
	// Rejected: a rule stops them, and tells who sent them.
	Rejected
	// Unsure: it depends on what the model of the rules does not know. Class.By are the rules of which each may decide.
	Unsure
	// Unknown: the kernel did otherwise with one of them than the rules say, as far as they are modelled.
	Unknown
)

var endingWords = []string{"accepted", "dropped", "rejected", "unsure", "not known"}

// String is the word.
func (e Ending) String() string {
	if e < 0 || int(e) >= len(endingWords) {
		return fmt.Sprintf("ending %d", int(e))
	}
	return endingWords[e]
}

// MarshalText is the word.
func (e Ending) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads the word.
func (e *Ending) UnmarshalText(text []byte) error {
	at := slices.Index(endingWords, string(text))
	if at < 0 {
		return fmt.Errorf("ending %q is none of: %s", text, strings.Join(endingWords, ", "))
	}
	*e = Ending(at)
	return nil
}

// Policy is what the rules of a node do with packets: see Of.
type Policy struct {
	Lab, Node string
	// Flows are one for each pair of zones between which this lab has packets.
	Flows []Flow
	// Notes are what is not told, and why.
	Notes []string
	// Packets is how many were sent.
	Packets int
}

// Flow is what becomes of the packets from one zone to another.
type Flow struct {
	From, To string
	// Classes have no packet in common, and together all that the flow has.
	Classes []Class
}

// Class are packets with one ending, which one rule gives them.
type Class struct {
	Ending Ending
	// By are the place and the text of the rule or policy that decides; of several where Ending is Unsure, and where they
	// are called alike. It is empty where no rule is asked.
	By []string
	// Translated are the rules that give the packets another destination or source.
	Translated []string `json:",omitempty"`
	// Why says on what it depends where Ending is Unsure, and what the kernel did where it is Unknown.
	Why string `json:",omitempty"`
	// Text is the ending in words, with the rule: `accepted by "web"`.
	Text string
	// Rest says that these are all packets of the flow that no other class has: the conditions of its parts say no more.
	Rest  bool `json:",omitempty"`
	Parts []Part
}

// Part are packets of a class: those that meet all conditions.
type Part struct {
	// IPv6 says of which family they are.
	IPv6 bool
	// Text is the part in words: "tcp 80, 443 to 10.0.2.0/25".
	Text       string
	Conditions []Condition
	// Witness are packets in the order in which they were sent through the rules of a twin: with the last one, which is of this
	// part, the kernel did what the class says. Those before it open the connection that it belongs to. Without one
	// the part was not tried, and Untried says why.
	Witness []Packet
	Untried string `json:",omitempty"`
}

// Condition is that a field of a packet is in one of some ranges.
type Condition struct {
	// Field is in, out, source, destination, protocol, length, sport, dport, type, code, flags, state, mark or ttl.
	Field string
	// Ranges are from a value to a value, both included: numbers, addresses, names of interfaces, states of connections.
	// Length is whole, or where a packet ends that is cut short: before its ports, or after them.
	Ranges [][2]string
}

// String is a text that can be kept and compared with MatchPolicy: for each flow a line for each part of a class,
// "tcp 80, 443 to 10.0.2.0/25: accepted by "web"". A rule is called by its comment, or else by its text. What is not said of connections
// (new, established) is about those that begin, and about all other packets that no line is about.
func (p Policy) String() string {
	var b strings.Builder
	for i := 0; i < len(p.Flows); {
		from, body, to := p.Flows[i].From, p.Flows[i].body(), []string{}
		for ; i < len(p.Flows) && p.Flows[i].From == from && p.Flows[i].body() == body; i++ {
			to = append(to, p.Flows[i].To)
		}
		fmt.Fprintf(&b, "%s -> %s:\n%s", from, strings.Join(to, ", "), body)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "%s %s\n", notTold, n)
	}
	return b.String()
}

// body are the flow's lines.
func (f *Flow) body() string {
	var b strings.Builder
	for _, line := range f.lines() {
		fmt.Fprintf(&b, "  %s\n", line.text)
	}
	return b.String()
}

// told is a line of the text, and a part of which it is; why is what else is known of that.
type told struct {
	text string
	part *Part
	why  string
}

// lines are the flow's, in the order of their words and numbers, and what is left last: of what both families have alike, one.
func (f *Flow) lines() (all []told) {
	var rests []told
	for i := range f.Classes {
		c := &f.Classes[i]
		for j := range c.Parts {
			p := &c.Parts[j]
			line := told{p.line(c), p, cmp.Or(p.Untried, c.Why)}
			if c.Ending == Unknown {
				line.why = c.Why
			}
			to := &all
			if c.Rest {
				to = &rests
			}
			if !slices.ContainsFunc(*to, func(t told) bool { return t.text == line.text }) {
				*to = append(*to, line)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b told) int { return slices.Compare(inOrder(a.text), inOrder(b.text)) })
	return append(all, rests...)
}

// line is a part of a class in the text.
func (p *Part) line(c *Class) string {
	text := p.Text + ": " + c.Text
	if len(p.Witness) == 0 && c.Ending != Unknown {
		text += " (not tried)"
	}
	return text
}

// inOrder is a text whose numbers are in the order of their values, where they stand in the same place.
func inOrder(text string) (key []uint64) {
	number := false
	for _, c := range []byte(text) {
		if digit := c >= '0' && c <= '9'; digit && number {
			key[len(key)-1] = key[len(key)-1]*10 + uint64(c-'0')
		} else if number = digit; digit {
			key = append(key, uint64('0')<<32|uint64(c-'0'))
		} else {
			key = append(key, uint64(c)<<32)
		}
	}
	return key
}
