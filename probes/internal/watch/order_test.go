package watch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/probes/evidence"
)

// at is a tap's sighting so many microseconds after dawn.
func at(us int, node, port string, direction evidence.Direction, role evidence.Role, text string) evidence.Sighting {
	return evidence.Sighting{At: dawn.Add(time.Duration(us) * time.Microsecond), Node: node, Interface: port, Direction: direction, Role: role, Text: text}
}

// ruled is a rule's sighting, stamped when it was read.
func ruled(us int, node string, role evidence.Role, rule *evidence.Rule, text string) evidence.Sighting {
	return evidence.Sighting{At: dawn.Add(time.Duration(us) * time.Microsecond), Node: node, Role: role, Rule: rule, Text: text}
}

// words are the sightings' texts in order.
func words(timeline evidence.Timeline) string {
	var all []string
	for _, s := range timeline {
		all = append(all, s.Text)
	}
	return strings.Join(all, " ")
}

// readSomehow is a timeline as it may be read: what rules did in order, in between
// what taps saw.
func readSomehow(timeline evidence.Timeline) (read evidence.Timeline) {
	var rules evidence.Timeline
	for _, s := range timeline {
		if s.ByRule() {
			rules = append(rules, s)
		} else {
			read = append(read, s)
		}
	}
	rand.Shuffle(len(read), func(i, j int) { read[i], read[j] = read[j], read[i] })
	from := 0
	for _, s := range rules {
		from += rand.IntN(len(read) - from + 1)
		read = slices.Insert(read, from, s)
		from++
	}
	return read
}

// way is what was seen of a packet, and how it went.
type way struct {
	timeline evidence.Timeline
	want     string
}

var ways = map[string]way{
	"a way through": {evidence.Timeline{
		at(0, "client", "lan", evidence.Out, evidence.Request, "1"), at(1, "fw", "lan", evidence.In, evidence.Request, "2"), at(4, "fw", "dmz", evidence.Out, evidence.Request, "3"),
		at(5, "server", "dmz", evidence.In, evidence.Request, "4"), at(9, "server", "dmz", evidence.Out, evidence.Answer, "5"), at(12, "client", "lan", evidence.In, evidence.Answer, "6"),
	}, "1 2 3 4 5 6"},
	"dropped": {evidence.Timeline{
		at(0, "client", "lan", evidence.Out, evidence.Request, "1"), at(1, "fw", "lan", evidence.In, evidence.Request, "2"), ruled(900, "fw", evidence.Request, &commented, "3"),
	}, "1 2 3"},
	"translated on its way": {evidence.Timeline{
		at(0, "client", "lan", evidence.Out, evidence.Request, "1"), at(1, "fw", "lan", evidence.In, evidence.Request, "2"), ruled(900, "fw", evidence.Request, nil, "3"),
		at(4, "fw", "dmz", evidence.Out, evidence.Request, "4"), at(5, "server", "dmz", evidence.In, evidence.Request, "5"),
	}, "1 2 3 4 5"},
	"translated, then dropped": {evidence.Timeline{
		at(1, "fw", "lan", evidence.In, evidence.Request, "1"), ruled(800, "fw", evidence.Request, nil, "2"), ruled(900, "fw", evidence.Request, &commented, "3"),
	}, "1 2 3"},
	"translated by its sender": {evidence.Timeline{
		ruled(900, "client", evidence.Request, nil, "1"), at(2, "client", "lan", evidence.Out, evidence.Request, "2"), at(3, "fw", "lan", evidence.In, evidence.Request, "3"),
	}, "1 2 3"},
	"dropped by its sender the second time": {evidence.Timeline{
		at(2, "client", "lan", evidence.Out, evidence.Request, "1"), ruled(900, "client", evidence.Request, &commented, "2"),
	}, "1 2"},
	"dropped by its sender": {evidence.Timeline{ruled(900, "client", evidence.Request, &commented, "1")}, "1"},
	"the answer dropped": {evidence.Timeline{
		at(1, "fw", "lan", evidence.In, evidence.Request, "1"), at(3, "fw", "dmz", evidence.Out, evidence.Request, "2"), at(8, "fw", "dmz", evidence.In, evidence.Answer, "3"),
		ruled(900, "fw", evidence.Answer, &commented, "4"),
	}, "1 2 3 4"},
	"dropped twice": {evidence.Timeline{
		at(1, "fw", "lan", evidence.In, evidence.Request, "1"), ruled(900, "fw", evidence.Request, &commented, "2"),
		at(1000, "fw", "lan", evidence.In, evidence.Request, "3"), ruled(1900, "fw", evidence.Request, &commented, "4"),
	}, "1 2 3 4"},
	"in at a port of a bridge and at the bridge": {evidence.Timeline{
		at(1, "fw", "p0", evidence.In, evidence.Request, "1"), at(2, "fw", "br", evidence.In, evidence.Request, "2"), ruled(900, "fw", evidence.Request, &commented, "3"),
	}, "1 2 3"},
	"of an interface that came later": {evidence.Timeline{
		at(1, "fw", "", evidence.In, evidence.Request, "1"), ruled(900, "fw", evidence.Request, nil, "2"), at(5, "fw", "", evidence.Out, evidence.Request, "3"),
	}, "1 2 3"},
}

// Taps and rules are read beside one another: whatever order they were read in,
// the packet's way comes out.
func TestOrder(t *testing.T) {
	t.Parallel()
	for name, c := range ways {
		for range 20 {
			got := readSomehow(c.timeline)
			read := words(got)
			order(got)
			if words(got) != c.want {
				t.Fatalf("%s, read as %s: %s, want %s", name, read, words(got), c.want)
			}
		}
	}
}
