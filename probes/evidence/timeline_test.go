package evidence

import (
	"slices"
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

func TestRolesHaveWords(t *testing.T) {
	t.Parallel()
	for role, want := range map[Role]string{
		Request: "request", Answer: "answer", Refusal: "refusal", Undone: "error about the answer", 0: "nothing",
	} {
		if role.String() != want {
			t.Errorf("%d: %q", role, role)
		}
	}
}
