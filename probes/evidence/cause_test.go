package evidence

import "testing"

func TestCauseIs(t *testing.T) {
	t.Parallel()
	route := Cause{Kind: Blackhole, Node: "fw", Detail: "blackhole route 10.9.0.0/16"}
	drop := Cause{Kind: Drop, Node: "fw", Rule: &commented, Detail: "not looked at"}
	for _, c := range []struct {
		cause Cause
		name  string
		want  bool
	}{
		{drop, "no dns", true}, {drop, "udp dport 53 drop", true}, {drop, "not looked at", false}, {drop, "", false},
		{route, "blackhole route 10.9.0.0/16", true}, {route, "blackhole route 10.9.0.0/8", false}, {route, "", false},
		{Cause{Kind: Unknown}, "", false},
	} {
		if got := c.cause.Is(c.name); got != c.want {
			t.Errorf("%s is %q: %v", c.cause, c.name, got)
		}
	}
}

func TestCauseAsASentence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause      Cause
		text, word string
	}{
		{Cause{Kind: Drop, Verb: "dropped", Node: "fw", Leg: Request, Rule: &policy}, "the request was dropped at fw by policy drop of inet filter forward", "drop@fw"},
		{Cause{Kind: Drop, Verb: "dropped", Node: "fw", Leg: Answer, Rule: &policy}, "the request arrived; the answer was dropped at fw by policy drop of inet filter forward", "drop@fw"},
		{Cause{Kind: MTU, Verb: "too large", Node: "fw", Interface: "lan", Detail: "why"}, "the request was too large at fw/lan: why", "mtu@fw"},
		{Cause{Kind: LinkDown, Verb: "lost", Node: "fw"}, "the request was lost at fw", "linkdown@fw"},
		{Cause{Kind: Unknown, Node: "fw", Interface: "lan", Detail: "why"}, "inconclusive: the request was last seen at fw/lan: why", "unknown@fw"},
		{Cause{Kind: Unknown, Detail: "why"}, "inconclusive: why", "unknown"},
		{Cause{}, "inconclusive: ", ""},
	} {
		if c.cause.String() != c.text || c.cause.Word() != c.word {
			t.Errorf("%s: %q\nwant %s: %q", c.cause.Word(), c.cause, c.word, c.text)
		}
	}
}
