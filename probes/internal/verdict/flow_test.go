package verdict

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// dropping is a flow that drops what the client sends to its link, which is an Open vSwitch.
func dropping(s *scene) *Flowed {
	s.arrived("client")
	s.Heard.Flowed = Flowed{
		At: clientEnd, Leg: evidence.Request, Switch: "lan", Flow: evidence.Flow{Cookie: "0x2a", Priority: 10, Match: "icmp,in_port=client", Actions: "drop"},
	}
	return &s.Heard.Flowed
}

func TestFlows(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"a flow that drops": {
			happen: func(s *scene) { dropping(s) }, kind: evidence.FlowDrop, word: "flow@client", policy: true,
			text: `the request was dropped at client/lan: flow "cookie=0x2a,priority=10,icmp,in_port=client,actions=drop" of switch lan`,
		},
		"no flow for it": {
			happen: func(s *scene) { dropping(s).Flow = evidence.Flow{Table: 7, Missed: true} }, kind: evidence.FlowDrop, word: "flow@client", policy: true,
			text: "the request was dropped at client/lan: no flow of table 7 of switch lan is for it",
		},
		"a flow that another packet passes": {
			happen: func(s *scene) { dropping(s).Doubt = "another passes" }, kind: evidence.Unknown, word: "unknown@client",
			text: `inconclusive: the request was last seen at client/lan: flow "cookie=0x2a,priority=10,icmp,in_port=client,actions=drop" of switch lan drops it, but another passes`,
		},
		"a flow that hands it to others": {
			happen: func(s *scene) { dropping(s).Handed = "spare, tv" }, kind: evidence.Unknown, word: "unknown@client",
			text: `inconclusive: the request was last seen at client/lan: flow "cookie=0x2a,priority=10,icmp,in_port=client,actions=drop" of switch lan hands it to port spare, tv, and not to who it was for: a program there may hand it on`,
		},
		"one that hands on as a switch does": {
			happen: func(s *scene) { dropping(s).Normal = true }, kind: evidence.Unknown, word: "unknown@client",
			text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else",
		},
		"one of the answer's": {
			happen: func(s *scene) { dropping(s).Leg = evidence.Answer }, kind: evidence.Unknown, word: "unknown@client",
			text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else",
		},
	})
}

func TestWhatLeftForASwitch(t *testing.T) {
	t.Parallel()
	s := newScene(wire.ICMP, false)
	s.arrived("client")
	is := func(end End) bool { return end == clientEnd || end == fwEnd }
	x, crosses := s.Crossing(is)
	if !crosses || x.At != clientEnd || len(x.To) != 1 || x.To[0] != fwEnd {
		t.Errorf("%v %+v", crosses, x)
	}
	if _, crosses := s.Crossing(func(End) bool { return false }); crosses {
		t.Error("it crossed a switch that it is not at")
	}
	s.arrived("fw")
	if x, crosses := s.Crossing(is); crosses {
		t.Errorf("it came in at fw: %+v", x)
	}
}

func TestAFlowIsNamed(t *testing.T) {
	t.Parallel()
	f := evidence.Flow{Cookie: "0x2a", Table: 1, Priority: 10, Match: "icmp,in_port=pc", Actions: "drop"}
	for text, is := range map[string]bool{
		f.String(): true, "cookie=0x2a": true, "cookie=42": true, "table=1,priority=10,in_port=pc,icmp,actions=drop": true, "table=1, priority=10, icmp,in_port=pc": true,
		"": false, "cookie=0x2b": false, "priority=10,icmp,in_port=pc,actions=drop": false, "table=1,priority=10,icmp,actions=drop": false, "table=1": false,
		"table=1,priority=10,icmp,in_port=pc,actions=NORMAL": false, "cookie=0x2b,table=1,priority=10,icmp,in_port=pc,actions=drop": false,
	} {
		if (evidence.Cause{Kind: evidence.FlowDrop, Flow: &f}).Is(text) != is {
			t.Errorf("%q: %v", text, !is)
		}
	}
	if f := (evidence.Flow{Priority: 32768, Actions: "drop"}); !f.Is("actions=drop") || f.Is("cookie=0x0") || strings.Contains(f.String(), "cookie") {
		t.Error(f)
	}
	if deed, err := LiftOf(evidence.Cause{Kind: evidence.FlowDrop, Policy: true, Switch: "lan", Flow: &f}); err != nil || deed != (DeleteFlow{"lan", &f}) {
		t.Errorf("%v %v", deed, err)
	}
}
