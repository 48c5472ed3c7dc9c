package probes

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// What each end of a request with some TTL means for a trace.
func TestHopOf(t *testing.T) {
	t.Parallel()
	router, router6, site := netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("fd00:1::2"), netip.MustParseAddr("10.0.9.1")
	took := 120 * time.Microsecond
	drop := evidence.Cause{Kind: evidence.Drop, Verb: "dropped", Node: "fw", Leg: evidence.Request, Rule: &evidence.Rule{Family: "inet", Table: "f", Chain: "c", Handle: 2, Text: "drop"}}
	for name, c := range map[string]struct {
		result        Result
		node, text    string
		expired, over bool
		reached       bool
	}{
		"a TTL that is over":        {result: Result{Outcome: Rejected, By: "fw", Sender: router, ICMP: &ICMPError{Type: 11}}, node: "fw", text: "fw (10.0.1.2)  120µs", expired: true},
		"over IPv6":                 {result: Result{Outcome: Rejected, By: "fw", Sender: router6, ICMP: &ICMPError{Type: 3}}, node: "fw", text: "fw (fd00:1::2)  120µs", expired: true},
		"of nobody who is known":    {result: Result{Outcome: Rejected, Sender: router, ICMP: &ICMPError{Type: 11}}, text: "somebody (10.0.1.2)  120µs", expired: true},
		"of pieces (11/1)":          {result: Result{Outcome: Rejected, By: "fw", Sender: router, ICMP: &ICMPError{Type: 11, Code: 1}}, node: "fw", text: "rejected after 120µs", over: true},
		"another error":             {result: Result{Outcome: Rejected, By: "fw", Sender: router, ICMP: &ICMPError{Type: 3, Code: 1}}, node: "fw", text: "rejected after 120µs", over: true},
		"an answer":                 {result: Result{Outcome: Answered, By: "site", Sender: site}, node: "site", text: "site (10.0.9.1)  120µs, answered", over: true, reached: true},
		"a closed port":             {result: Result{Outcome: Refused, By: "site", Sender: site, Errno: unix.ECONNREFUSED}, node: "site", text: "refused after 120µs", over: true, reached: true},
		"nothing that was sent":     {result: Result{Outcome: Unsent, Errno: unix.ENETUNREACH}, text: "unsent after 120µs", over: true},
		"a TTL that nobody told of": {result: Result{Outcome: Silent, Cause: &evidence.Cause{Kind: evidence.TTL, Node: "fw", Leg: evidence.Request}}, node: "fw", text: "fw, whose ICMP error did not come back", expired: true},
		"an answer's TTL":           {result: Result{Outcome: Silent, Cause: &evidence.Cause{Kind: evidence.TTL, Verb: "dropped", Node: "fw", Leg: evidence.Answer}}, node: "fw", text: "the request arrived; the answer was dropped at fw", over: true},
		"a rule":                    {result: Result{Outcome: Silent, Cause: &drop}, node: "fw", text: `the request was dropped at fw by rule "drop" of inet f c`, over: true},
		"nothing that is known":     {result: Result{Outcome: Silent, Cause: &evidence.Cause{Kind: evidence.Unknown, Detail: "lost"}}, text: "inconclusive: lost"},
	} {
		c.result.RTT = took
		hop, over := hopOf(c.result, 2)
		if hop.Node != c.node || hop.TTL != 2 || hop.Expired != c.expired || over != c.over || hop.String() != c.text || c.result.reaches() != c.reached {
			t.Errorf("%s: %q at %q, expired %v, over %v, reached %v", name, hop, hop.Node, hop.Expired, over, c.result.reaches())
		}
	}
}

func TestTraceIsPrinted(t *testing.T) {
	t.Parallel()
	trace := Trace{From: "pc", To: "site", Addr: netip.MustParseAddr("10.0.9.1"), Probe: UDP(33434), Hops: []TraceHop{
		{TTL: 1, Node: "fw", Expired: true}, {TTL: 2, Asked: 3, Node: "site", Addr: netip.MustParseAddr("10.0.9.1"), Result: Result{Outcome: Answered, RTT: time.Millisecond}},
	}}
	const want = "pc -> site (10.0.9.1) udp/33434\n 1  fw, whose ICMP error did not come back\n 2  site (10.0.9.1)  1ms, answered, after 2 that went another way"
	if trace.String() != want || trace.GomegaString() != want {
		t.Errorf("%s", trace)
	}
}

// Which request goes on where another has ended.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	way := func(number int, nodes ...string) (hops evidence.Hops) {
		for _, node := range nodes {
			hops = append(hops, evidence.Hop{Role: evidence.Request, Way: number, Node: node})
		}
		return hops
	}
	lost := way(1, "pc", "fork", "later")
	lost[2].Gap = true
	for name, c := range map[string]struct {
		before, now evidence.Hops
		want        bool
	}{
		"further on the same way": {way(1, "pc", "fork", "left"), way(1, "pc", "fork", "left", "out"), true},
		"as far":                  {way(1, "pc", "fork"), way(1, "pc", "fork"), true},
		"less far":                {way(1, "pc", "fork", "left"), way(1, "pc", "fork"), true},
		"another way":             {way(1, "pc", "fork", "left"), way(1, "pc", "fork", "right", "out"), false},
		"one of its ways":         {way(1, "pc", "fork", "left"), append(way(1, "pc", "fork", "right"), way(2, "pc", "fork", "left", "out")...), true},
		"where it was not seen":   {way(1, "pc", "fork", "left"), lost, true},
		"nothing was seen":        {way(1, "pc", "fork", "left"), nil, true},
	} {
		if got := goesOn(c.before, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
