package probes

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// Trace is what Path has found: by whom a probe's requests went.
type Trace struct {
	// From and To name the asker and the target, Addr is the address that was asked.
	From, To string
	Addr     netip.Addr
	Probe    Probe
	// Hops are who had a request, one for each TTL from 1.
	Hops []TraceHop
	// Reached is true where the target itself answered the last, or refused it.
	Reached bool
	// Cause is what ended the last request, or its answer; nil where the target answered it.
	Cause *evidence.Cause
}

// TraceHop is where a request ended with one TTL.
type TraceHop struct {
	TTL int
	// Node is who had it last: whose TTL was over, who answered, refused or rejected it, or where
	// it was dropped; "" where that is not known.
	Node string
	// Addr is the address that said so; the zero Addr where nothing came back.
	Addr netip.Addr
	// RTT is the time to that, or how long it was waited for.
	RTT time.Duration
	// Expired is true where the TTL was over there, and else it would have gone on.
	Expired bool
	// Asked is how many requests had this TTL: all but the last, whose end this is, went another way
	// than the one of the hop before.
	Asked int
	// Result is what was found out with this TTL.
	Result Result
}

// mostHops is how far a trace goes, as that of traceroute(8).
const mostHops = 30

// mostUnknown is after how many requests, one after another, whose end nothing tells a trace is
// given up.
const mostUnknown = 3

// mostForked is how many requests with one TTL may go another way than the one before, until a trace
// is given up. Where each of two ways is as likely, one trace in a million is.
const mostForked = 20

// Path asks again and again, with a TTL of 1, 2, 3 and so on, until the target answers, or
// something on the way ends the requests: as traceroute(8) does, by ICMP, TCP or UDP. All of it is
// watched (see Watch): so nodes are known by what they did and not by an address, one that keeps its
// ICMP errors to itself is told as well, and the rule that ends the way is named.
//
//	trace, err := probes.Path(ctx, client, server, probes.UDP(33434))
//	fmt.Println(trace)
//	// client -> server (10.0.9.1) udp/33434
//	//  1  fw (10.0.1.2)  104µs
//	//  2  core (10.0.5.2)  121µs
//	//  3  the request was dropped at core by rule "udp dport 33434 drop" of inet filter forward
//
// The hops are of one way: where there are several to one target, as by a multipath route, a request
// that goes another than the one before is sent again (see Asked). That none goes on is an error.
//
// A target with several addresses is asked at the first. A probe with a TTL of its own is an error.
func Path(ctx context.Context, from *harness.Node, to Target, p Probe) (Trace, error) {
	if p.source.ttl != (option{}) {
		return Trace{}, fmt.Errorf("path: probe %s: a TTL of its own: Path counts it up, leave TTL out", p)
	}
	w, addrs, name, err := toWatch(ctx, from, to, p)
	if err != nil {
		return Trace{}, fmt.Errorf("path: %w", err)
	}
	t := Trace{From: from.Name(), To: name, Addr: addrs[0], Probe: p}
	ask := func(ttl int) (Result, error) { return watchAddr(ctx, w, from, to, name, addrs[0], p.TTL(ttl)) }
	for unknown := 0; len(t.Hops) < mostHops && unknown < mostUnknown; {
		r, asked, err := t.onward(ask)
		if err != nil {
			return Trace{}, fmt.Errorf("path %s -> %s %s: hop %d: %w", from, name, p, len(t.Hops)+1, err)
		}
		hop, over := hopOf(r, len(t.Hops)+1)
		hop.Asked = asked
		t.Hops, t.Cause, t.Reached = append(t.Hops, hop), r.Cause, r.reaches()
		if unknown++; r.Cause == nil || r.Cause.Kind != evidence.Unknown {
			unknown = 0
		}
		if over {
			break
		}
	}
	return t, nil
}

// onward asks with the next TTL, until a request goes on where the one before ended.
func (t *Trace) onward(ask func(ttl int) (Result, error)) (r Result, asked int, err error) {
	ttl := len(t.Hops) + 1
	for asked = 1; asked <= mostForked; asked++ {
		r, err = ask(ttl)
		if err != nil || ttl == 1 || goesOn(t.Hops[ttl-2].Result.Hops(), r.Hops()) {
			return r, asked, err
		}
	}
	before := t.Hops[ttl-2].Result.Hops().Ways(evidence.Request)
	return r, asked, fmt.Errorf("of %d requests none went on from %s: the last went %s: name a port (FromPort), where ways are chosen by it",
		mostForked, nodesOfWay(before[0]), nodesOfWay(r.Hops().Ways(evidence.Request)[0]))
}

// goesOn says whether a request went the way of one before it, and on from there, as far as both
// were in sight.
func goesOn(before, now evidence.Hops) bool {
	earlier, later := before.Ways(evidence.Request), now.Ways(evidence.Request)
	for _, e := range earlier {
		for _, l := range later {
			if onOneWay(e, l) {
				return true
			}
		}
	}
	return len(earlier) == 0 || len(later) == 0
}

// onOneWay says whether a way begins with another, or is the begin of it.
func onOneWay(first, whole evidence.Hops) bool {
	for i, hop := range first {
		switch {
		case i == len(whole), hop.Gap, whole[i].Gap: // it ended sooner, or what is between was not seen
			return true
		case whole[i].Node != hop.Node:
			return false
		}
	}
	return true
}

// hopOf is what a result tells of a hop, and whether no higher TTL leads on.
func hopOf(r Result, ttl int) (hop TraceHop, over bool) {
	hop = TraceHop{TTL: ttl, Node: r.By, Addr: r.Sender, RTT: r.RTT, Result: r}
	c := r.Cause
	switch {
	case r.ICMP != nil && r.ICMP.expired(r.Sender):
		hop.Expired = true
	case r.Outcome != Silent:
		return hop, true
	case c == nil:
	case c.Kind == evidence.TTL && c.Leg == evidence.Request:
		hop.Node, hop.Expired = c.Node, true
	case c.Kind != evidence.Unknown:
		hop.Node = c.Node
		return hop, true
	}
	return hop, false
}

// expired says whether it is an error of a router whose TTL was over; sender tells the family.
func (e *ICMPError) expired(sender netip.Addr) bool {
	const exceeded4, exceeded6 = 11, 3 // RFC 792, RFC 4443
	return e.Code == 0 && (sender.Is4() && e.Type == exceeded4 || sender.Is6() && e.Type == exceeded6)
}

// reaches says whether the target itself answered or refused.
func (r Result) reaches() bool {
	return r.Outcome == Answered && !r.wrongOwner() || r.Outcome == Refused
}

// Nodes are the nodes of the hops, in order; "" of one that is not known. The target is the last
// where it was reached.
func (t Trace) Nodes() (nodes []string) {
	for _, hop := range t.Hops {
		nodes = append(nodes, hop.Node)
	}
	return nodes
}

// String is a line for the question and one for each hop.
func (t Trace) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s -> %s (%s) %s", t.From, t.To, t.Addr, t.Probe)
	for _, hop := range t.Hops {
		fmt.Fprintf(&text, "\n%2d  %s", hop.TTL, hop)
		if hop.Asked > 1 {
			fmt.Fprintf(&text, ", after %d that went another way", hop.Asked-1)
		}
	}
	return text.String()
}

// GomegaString keeps Gomega from printing the whole lab.
func (t Trace) GomegaString() string { return t.String() }

// String is who had the request, and how that is known.
func (h TraceHop) String() string {
	r := h.Result
	node := h.Node
	if node == "" {
		node = "somebody"
	}
	took := r.RTT.Round(time.Microsecond)
	switch {
	case h.Expired && h.Addr.IsValid():
		return fmt.Sprintf("%s (%s)  %s", node, h.Addr, took)
	case h.Expired:
		return fmt.Sprintf("%s, whose ICMP error did not come back", node)
	case r.Outcome == Answered:
		return fmt.Sprintf("%s (%s)  %s, answered", node, h.Addr, took)
	case r.Cause != nil:
		return r.Cause.String()
	}
	return fmt.Sprintf("%s after %s", r.Outcome, took)
}
