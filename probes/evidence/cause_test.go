package evidence

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
)

func TestCauseIs(t *testing.T) {
	t.Parallel()
	route := Cause{Kind: Blackhole, Node: "fw", Detail: "blackhole route 10.9.0.0/16 in table 100", Route: &inspect.Route{To: netip.MustParsePrefix("10.9.0.0/16")}}
	ruled := Cause{Kind: Prohibit, Node: "fw", Detail: "policy routing rule 1000: from all prohibit", PolicyRule: &inspect.PolicyRule{Priority: 1000, Action: 8, SuppressBits: -1}}
	off := Cause{Kind: NoForward, Node: "fw", Detail: "net.ipv4.ip_forward=0", Sysctl: "net/ipv4/ip_forward"}
	drop := Cause{Kind: Drop, Node: "fw", Rule: &commented, Detail: "not looked at"}
	for _, c := range []struct {
		cause Cause
		name  string
		want  bool
	}{
		{drop, "no dns", true}, {drop, "udp dport 53 drop", true}, {drop, "not looked at", false}, {drop, "", false},
		{route, "blackhole route 10.9.0.0/16", true}, {route, "blackhole route 10.9.0.0/8", false}, {route, "", false},
		{route, "blackhole", true}, {route, "blackhole 10.9.0.0/16", true}, {route, " blackhole  10.9.0.0/16 ", true}, {route, "prohibit", false},
		{route, "blackhole route 10.9.0.0/16 in table 100", true}, {route, "blackhole@fw", true}, {route, "blackhole@pc", false}, {route, " ", false},
		{ruled, "1000: from all prohibit", true}, {ruled, "policy routing rule 1000: from all prohibit", true}, {ruled, "1000", false},
		{off, "net.ipv4.ip_forward=0", true}, {off, "net.ipv4.ip_forward", true}, {off, "noforward", true}, {off, "net.ipv4.ip_forward=1", false},
		{drop, "drop", false}, {drop, "inet filter forward", true},
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
