package evidence

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var dawn = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// at is a tap's sighting so many microseconds after dawn.
func at(us int, node, port string, direction Direction, role Role, text string) Sighting {
	return Sighting{At: dawn.Add(time.Duration(us) * time.Microsecond), Node: node, Interface: port, Direction: direction, Role: role, Text: text}
}

// ruled is a rule's sighting, stamped when it was read.
func ruled(us int, node string, role Role, rule *Rule, text string) Sighting {
	return Sighting{At: dawn.Add(time.Duration(us) * time.Microsecond), Node: node, Role: role, Rule: rule, Text: text}
}

// words are the sightings' texts in order.
func words(timeline Timeline) string {
	var all []string
	for _, s := range timeline {
		all = append(all, s.Text)
	}
	return strings.Join(all, " ")
}

// readSomehow is a timeline as it may be read: what rules did in order, in between
// what taps saw.
func readSomehow(timeline Timeline) (read Timeline) {
	var rules Timeline
	for _, s := range timeline {
		if s.byRule() {
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
	timeline Timeline
	want     string
}

var ways = map[string]way{
	"a way through": {Timeline{
		at(0, "client", "lan", Out, Request, "1"), at(1, "fw", "lan", In, Request, "2"), at(4, "fw", "dmz", Out, Request, "3"),
		at(5, "server", "dmz", In, Request, "4"), at(9, "server", "dmz", Out, Answer, "5"), at(12, "client", "lan", In, Answer, "6"),
	}, "1 2 3 4 5 6"},
	"dropped": {Timeline{
		at(0, "client", "lan", Out, Request, "1"), at(1, "fw", "lan", In, Request, "2"), ruled(900, "fw", Request, &commented, "3"),
	}, "1 2 3"},
	"translated on its way": {Timeline{
		at(0, "client", "lan", Out, Request, "1"), at(1, "fw", "lan", In, Request, "2"), ruled(900, "fw", Request, nil, "3"),
		at(4, "fw", "dmz", Out, Request, "4"), at(5, "server", "dmz", In, Request, "5"),
	}, "1 2 3 4 5"},
	"translated, then dropped": {Timeline{
		at(1, "fw", "lan", In, Request, "1"), ruled(800, "fw", Request, nil, "2"), ruled(900, "fw", Request, &commented, "3"),
	}, "1 2 3"},
	"translated by its sender": {Timeline{
		ruled(900, "client", Request, nil, "1"), at(2, "client", "lan", Out, Request, "2"), at(3, "fw", "lan", In, Request, "3"),
	}, "1 2 3"},
	"dropped by its sender the second time": {Timeline{
		at(2, "client", "lan", Out, Request, "1"), ruled(900, "client", Request, &commented, "2"),
	}, "1 2"},
	"dropped by its sender": {Timeline{ruled(900, "client", Request, &commented, "1")}, "1"},
	"the answer dropped": {Timeline{
		at(1, "fw", "lan", In, Request, "1"), at(3, "fw", "dmz", Out, Request, "2"), at(8, "fw", "dmz", In, Answer, "3"),
		ruled(900, "fw", Answer, &commented, "4"),
	}, "1 2 3 4"},
	"dropped twice": {Timeline{
		at(1, "fw", "lan", In, Request, "1"), ruled(900, "fw", Request, &commented, "2"),
		at(1000, "fw", "lan", In, Request, "3"), ruled(1900, "fw", Request, &commented, "4"),
	}, "1 2 3 4"},
	"in at a port of a bridge and at the bridge": {Timeline{
		at(1, "fw", "p0", In, Request, "1"), at(2, "fw", "br", In, Request, "2"), ruled(900, "fw", Request, &commented, "3"),
	}, "1 2 3"},
	"of an interface that came later": {Timeline{
		at(1, "fw", "", In, Request, "1"), ruled(900, "fw", Request, nil, "2"), at(5, "fw", "", Out, Request, "3"),
	}, "1 2 3"},
}

// Taps and rules are read beside one another: whatever order they were read in,
// the packet's way comes out.
func TestTimelineOrder(t *testing.T) {
	t.Parallel()
	for name, c := range ways {
		for range 20 {
			got := readSomehow(c.timeline)
			read := words(got)
			got.order()
			if words(got) != c.want {
				t.Fatalf("%s, read as %s: %s, want %s", name, read, words(got), c.want)
			}
		}
	}
}

func TestTimelineTellsWhoAnswered(t *testing.T) {
	t.Parallel()
	there := Timeline{
		at(0, "client", "lan", Out, Request, ""), at(1, "fw", "lan", In, Request, ""), at(2, "fw", "dmz", Out, Request, ""), at(3, "server", "dmz", In, Request, ""),
	}
	for name, c := range map[string]struct {
		back              Timeline
		answerer, refuser string
	}{
		"nobody":              {},
		"the server":          {Timeline{at(4, "server", "dmz", Out, Answer, ""), at(5, "fw", "dmz", In, Answer, ""), at(6, "fw", "lan", Out, Answer, "")}, "server", ""},
		"somebody on the way": {Timeline{at(4, "fw", "lan", Out, Answer, ""), at(5, "client", "lan", In, Answer, "")}, "fw", ""},
		"somebody unwatched":  {Timeline{at(5, "client", "lan", In, Answer, "")}, "", ""},
		"a refusal":           {Timeline{at(4, "server", "dmz", Out, Refusal, ""), at(6, "fw", "lan", Out, Refusal, "")}, "", "server"},
		"a refusal on the way, and an answer": {
			Timeline{at(4, "fw", "lan", Out, Refusal, ""), at(5, "server", "dmz", Out, Answer, ""), at(6, "fw", "lan", Out, Answer, "")}, "server", "fw",
		},
		"an error about an answer": {Timeline{at(4, "server", "dmz", Out, Answer, ""), at(5, "fw", "dmz", Out, Undone, "")}, "server", ""},
	} {
		timeline := append(slices.Clone(there), c.back...)
		if got := timeline.Answerer(); got != c.answerer {
			t.Errorf("%s: answered by %q, want %q", name, got, c.answerer)
		}
		if got := timeline.Refuser(); got != c.refuser {
			t.Errorf("%s: refused by %q, want %q", name, got, c.refuser)
		}
	}
}

func TestTimelineAsText(t *testing.T) {
	t.Parallel()
	if got := (Timeline{}).String(); got != "nothing was seen\n" {
		t.Errorf("of nothing: %q", got)
	}
	foreign := at(1_234_567, "server", "dmz", In, Request, "udp 10.0.1.1:40000 > 10.0.2.1:53")
	foreign.Foreign = true
	timeline := Timeline{
		at(0, "client", "lan", Out, Request, "udp 10.0.1.1:40000 > 10.0.2.1:53"),
		at(12, "fw", "lan", In, Request, "udp 10.0.1.1:40000 > 10.0.2.1:53"),
		ruled(12, "fw", Request, &commented, "udp 10.0.1.1:40000 > 10.0.2.1:53"),
		foreign,
		at(-5, "a-node-with-a-long-name", "lan", Out, Undone, "icmp 3/3 10.0.2.1 > 10.0.1.1"),
	}
	const want = `
+0.000 ms     client/lan out                   request: udp 10.0.1.1:40000 > 10.0.2.1:53
+0.012 ms     fw/lan in                        request: udp 10.0.1.1:40000 > 10.0.2.1:53
+0.012 ms     fw                               request: udp 10.0.1.1:40000 > 10.0.2.1:53: dropped by rule "udp dport 53 drop" of inet filter forward ("no dns")
+1234.567 ms  server/dmz in                    request: udp 10.0.1.1:40000 > 10.0.2.1:53 (to another host's MAC)
+0.000 ms     a-node-with-a-long-name/lan out  error about the answer: icmp 3/3 10.0.2.1 > 10.0.1.1
`
	if got := timeline.String(); got != want[1:] {
		t.Errorf("got:\n%s\nwant:%s", got, want)
	}
}

func TestDirectionsHaveWords(t *testing.T) {
	t.Parallel()
	for direction, want := range map[Direction]string{In: "in", Out: "out", 0: "at"} {
		if direction.String() != want {
			t.Errorf("%d: %q", direction, direction)
		}
	}
}
