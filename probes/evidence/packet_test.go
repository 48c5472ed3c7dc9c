package evidence

import "testing"

func TestPacketsHaveWords(t *testing.T) {
	t.Parallel()
	out := Sighting{Node: "client", Interface: "lan", Direction: Out}
	in := Sighting{Node: "fw", Interface: "lan", Direction: In}
	for want, p := range map[string]Packet{
		`request: out at client/lan, in at fw/lan, dropped by rule "udp dport 53 drop" of inet filter forward`: {
			Role: Request, Way: []Sighting{out, in}, Fate: Dropped, Node: "fw", Seen: true, Detail: "dropped",
			Rule: &Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7, Text: "udp dport 53 drop"},
		},
		"request copied at fw: dropped by policy drop of inet filter output at fw": {
			Role: Request, Copy: true, From: "fw", Fate: Dropped, Node: "fw", Seen: true, Detail: "dropped",
			Rule: &Rule{Family: "inet", Table: "filter", Chain: "output"},
		},
		"request in a frame for another host: in at fw/lan, not for this node": {
			Role: Request, Copy: true, From: "client", Stray: true, Way: []Sighting{in}, Fate: Strayed, Node: "fw", Detail: "not for this node",
		},
		"answer: out at client/lan, came in nowhere": {Role: Answer, Way: []Sighting{out}, Fate: OnTheLink, Node: "client", Detail: "came in nowhere"},
		"request: given to the kernel and seen nowhere at client": {
			Role: Request, Fate: Unsent, Node: "client", Detail: "given to the kernel and seen nowhere",
		},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
