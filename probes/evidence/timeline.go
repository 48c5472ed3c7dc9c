package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Sighting is one packet of a flow, seen at an interface or by a rule.
type Sighting struct {
	At   time.Time
	Node string
	// Interface is where a tap saw it; "" for what a rule did.
	Interface string
	// Index is the interface's, of a packet that came in also where a rule saw it.
	Index     int
	Direction Direction
	Role      Role
	// Rule is what dropped the packet; nil otherwise.
	Rule *Rule
	// Foreign is true when it was addressed to another host's MAC.
	Foreign bool
	// Source and Destination are the packet's addresses at this place: translation
	// changes them on the way.
	Source, Destination netip.Addr
	// Length is the packet's, in bytes.
	Length int
	// TTL is the time to live, or hop limit, that it has left.
	TTL int
	// Mark is the kernel's own mark on it, where a rule saw it.
	Mark uint32
	// NoHost is true of an ICMP error that says that its sender could not reach the
	// host: 3/1 (RFC 792), 1/3 (RFC 4443).
	NoHost bool
	// Text is the packet in a few words.
	Text string

	event *traceEvent // of a rule that is not read yet
}

// Dropped says whether a rule ended the packet's way here.
func (s Sighting) Dropped() bool { return s.Rule != nil }

// byRule says whether a rule saw it, and no tap.
func (s Sighting) byRule() bool { return s.Direction == 0 }

// Timeline is what was seen of one flow, in order.
type Timeline []Sighting

// hasMark says whether a rule of the node was seen to have given the packet its mark.
func (t Timeline) hasMark(s Sighting) bool {
	return slices.ContainsFunc(t, func(o Sighting) bool {
		return o.byRule() && o.Node == s.Node && o.Role == s.Role && o.Mark == s.Mark && o.Destination == s.Destination
	})
}

// order sorts by time. A node's rules speak after its interface on the way in
// and before the one on the way out, whatever clocks say: a rule's words are
// stamped when they are read.
func (t Timeline) order() {
	for i, s := range t {
		if s.byRule() {
			t[i].At = t.ruleTime(s)
		}
	}
	slices.SortStableFunc(t, func(a, b Sighting) int { return a.At.Compare(b.At) })
}

// ruleTime is right after the packet came in at the node; where it came from the
// node itself, right before it left.
func (t Timeline) ruleTime(rule Sighting) time.Time {
	var in, out time.Time
	for _, s := range t {
		if s.byRule() || s.Node != rule.Node || s.Role != rule.Role || s.At.After(rule.At) {
			continue
		}
		if s.Direction == In && s.At.After(in) {
			in = s.At
		}
		if s.Direction == Out && s.At.After(out) {
			out = s.At
		}
	}
	switch {
	case !in.IsZero():
		return in.Add(1)
	case !out.IsZero() && !rule.Dropped():
		return out.Add(-1)
	}
	return rule.At
}

// first is the first sighting of a role in a direction.
func (t Timeline) first(role Role, direction Direction) (Sighting, bool) {
	for _, s := range t {
		if s.Role == role && s.Direction == direction {
			return s, true
		}
	}
	return Sighting{}, false
}

// Answerer is the node that an answer was first seen leaving: who really
// answered, whatever its address. It is "" when no tap saw one leave.
func (t Timeline) Answerer() string {
	s, _ := t.first(Answer, Out)
	return s.Node
}

// Refuser is the node that a reset or an ICMP error was first seen leaving.
func (t Timeline) Refuser() string {
	s, _ := t.first(Refusal, Out)
	return s.Node
}

// String is the timeline as a table, a line a sighting, that fits into a failure
// message.
func (t Timeline) String() string {
	if len(t) == 0 {
		return "nothing was seen\n"
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range t {
		fmt.Fprintf(w, "%s\t%s\t%s\n", since(t[0].At, s.At), s.place(), s.what())
	}
	_ = w.Flush()
	return text.String()
}

func since(start, at time.Time) string {
	return fmt.Sprintf("+%.3f ms", float64(max(0, at.Sub(start)).Microseconds())/1000)
}

func (s Sighting) place() string {
	if s.Interface == "" {
		return s.Node
	}
	return fmt.Sprintf("%s/%s %s", s.Node, s.Interface, s.Direction)
}

func (s Sighting) what() string {
	text := fmt.Sprintf("%s: %s", s.Role, s.Text)
	if s.Foreign {
		text += " (to another host's MAC)"
	}
	if s.Rule != nil {
		text += ": dropped by " + s.Rule.String()
	}
	return text
}
