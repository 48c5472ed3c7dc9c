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
	} {
		if got := c.cause.Is(c.name); got != c.want {
			t.Errorf("%s is %q: %v", c.cause, c.name, got)
		}
	}
}

// Every kind has a sentence, and says of itself whether somebody wants it so.
func TestKinds(t *testing.T) {
	t.Parallel()
	policies := map[Kind]bool{
		Drop: true, Reject: true, Blackhole: true, Unreachable: true, Prohibit: true, NoForward: true, PortIsolated: true,
		NoRoute: false, LinkDown: false, NoCarrier: false, Tentative: false, NoAddress: false, Neighbour: false, MTU: false, TTL: false,
		RPFilter: false, NoListener: false, Backlog: false, Ignored: false, WrongMAC: false, Martian: false,
	}
	for kind, policy := range policies {
		c := Cause{Kind: kind, Node: "fw", Interface: "lan", Detail: "why"}
		if want := "the request was " + sentences[kind] + " at fw/lan: why"; sentences[kind] == "" || c.String() != want {
			t.Errorf("%s: %q", kind, c)
		}
		if c.Policy() != policy || c.Word() != string(kind)+"@fw" {
			t.Errorf("%s: policy %v", c.Word(), c.Policy())
		}
		c.Router = true
		if c.Policy() != (policy || kind == NoRoute) {
			t.Errorf("%s at a router: policy %v", kind, c.Policy())
		}
	}
	if len(policies) != len(sentences) {
		t.Errorf("%d kinds are tested, %d have a sentence", len(policies), len(sentences))
	}
	for _, c := range []Cause{{}, {Kind: Unknown}, {Kind: Unknown, Node: "fw"}} {
		if c.Policy() {
			t.Errorf("%s is a policy", c)
		}
	}
}
