package evidence

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Timeline is what was seen of one flow, in order.
type Timeline []Sighting

// First is the first sighting of a role in a direction.
func (t Timeline) First(role Role, direction Direction) (Sighting, bool) {
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
	s, _ := t.First(Answer, Out)
	return s.Node
}

// Refuser is the node that a reset or an ICMP error was first seen leaving.
func (t Timeline) Refuser() string {
	s, _ := t.First(Refusal, Out)
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
