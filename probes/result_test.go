package probes

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

func TestResultString(t *testing.T) {
	t.Parallel()
	network := topo.New("owners")
	for _, name := range []string{"b", "c", "fw", "box"} {
		network.Host(name)
	}
	nodes := harness.Up(t, network).Nodes()
	v4, v6, router := netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("fd00:2::1"), netip.MustParseAddr("10.0.1.2")
	for want, r := range map[string]Result{
		"a -> b (10.0.2.1) icmp: answered by b after 42µs": {Outcome: Answered, By: "b", Sender: v4},
		"a -> b (10.0.2.1) tcp/80: answered by c after 42µs": {
			Probe: TCP(80), Outcome: Answered, By: "c", Proven: true, Sender: v4},
		"a -> b (10.0.2.1) icmp: answered by one of b, c after 42µs": {Outcome: Answered, Sender: v4, owners: nodes[:2]},
		"a -> b (10.0.2.1) icmp: answered by somebody after 42µs":    {Outcome: Answered, Sender: v4},
		"a -> b (10.0.2.1) tcp/22: refused by b (unproven: a reset has no signature) after 42µs: connection refused": {
			Probe: TCP(22), Outcome: Refused, By: "b", Sender: v4, Errno: unix.ECONNREFUSED},
		"a -> b (10.0.2.1) udp/53: refused by b after 42µs: port unreachable (icmp 3/3)": {
			Probe: UDP(53), Outcome: Refused, By: "b", Sender: v4, Errno: unix.ECONNREFUSED, ICMP: &ICMPError{Type: 3, Code: 3}},
		"a -> b (10.0.2.1) icmp: rejected by fw from 10.0.1.2 after 42µs: administratively prohibited (icmp 3/13)": {
			Outcome: Rejected, By: "fw", Sender: router, ICMP: &ICMPError{Type: 3, Code: 13}},
		"a -> b (10.0.2.1) icmp: rejected by one of fw, box from 10.0.1.2 after 42µs: fragmentation needed (icmp 3/4), mtu 1300": {
			Outcome: Rejected, owners: nodes[2:], Sender: router, ICMP: &ICMPError{Type: 3, Code: 4, Info: 1300}},
		"a -> b (fd00:2::1) icmp: rejected by b after 42µs: packet too big (icmpv6 2/0), mtu 1280": {
			Addr: v6, Outcome: Rejected, By: "b", Sender: v6, ICMP: &ICMPError{Type: 2, Info: 1280}},
		"a -> b (10.0.2.1) icmp: rejected by somebody from 10.0.1.2 after 42µs: icmp 12/1": {
			Outcome: Rejected, Sender: router, ICMP: &ICMPError{Type: 12, Code: 1}},
		"a -> b (10.0.2.1) icmp: silent: no answer in 42µs":      {Outcome: Silent},
		"a -> b (10.0.2.1) tcp/22: silent: drop seen after 42µs": {Outcome: Silent, Probe: TCP(22), Cause: &evidence.Cause{Kind: evidence.Drop}},
		"a -> b (10.0.2.1) tcp/23: silent: end seen after 42µs":  {Outcome: Silent, Probe: TCP(23), Cause: &evidence.Cause{Kind: evidence.Blackhole}},
		"a -> b (10.0.2.1) tcp/24: silent: no answer in 42µs":    {Outcome: Silent, Probe: TCP(24), Cause: &evidence.Cause{Kind: evidence.Unknown}},
		"a -> b (10.0.2.1) tcp/25: silent: no answer in 42µs": {
			Outcome: Silent, Probe: TCP(25).Within(42 * time.Microsecond), Cause: &evidence.Cause{Kind: evidence.Drop}},
		"a -> b (10.0.2.1) icmp: unsent: network is unreachable": {Outcome: Unsent, Errno: unix.ENETUNREACH},
		"a -> b (10.0.2.1) icmp: no outcome":                     {},
	} {
		r.From, r.To, r.RTT = "a", "b", 42*time.Microsecond
		if !r.Addr.IsValid() {
			r.Addr = v4
		}
		if r.Probe.kind == nil {
			r.Probe = ICMP()
		}
		if got := r.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// An address with a zone is the sender's as well, which has none.
func TestResultStringOfALinkLocalAddress(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("fe80::1%lan")
	r := Result{From: "a", To: addr.String(), Addr: addr, Probe: ICMP(), Outcome: Answered, Sender: addr.WithZone("")}
	if want := "a -> fe80::1%lan (fe80::1%lan) icmp: answered by somebody after 0s"; r.String() != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
}

func TestWorstIsTheFirstThatWasNotAnswered(t *testing.T) {
	t.Parallel()
	answered, silent := Result{Outcome: Answered}, Result{Outcome: Silent}
	for _, c := range []struct {
		results []Result
		want    Outcome
		each    int
	}{
		{[]Result{answered}, Answered, 0},
		{[]Result{silent}, Silent, 0},
		{[]Result{answered, answered}, Answered, 2},
		{[]Result{answered, silent}, Silent, 2},
		{[]Result{silent, answered}, Silent, 2},
	} {
		if got := worst(c.results); got.Outcome != c.want || len(got.Each) != c.each {
			t.Errorf("%v: %v with %d", c.results, got.Outcome, len(got.Each))
		}
	}
}

// Of many nodes that have an address some are named.
func TestManyOwnersAreCounted(t *testing.T) {
	t.Parallel()
	nodes := harness.Up(t, flat("owners", 6)).Nodes()
	for n, want := range map[int]string{2: "h0, h1", 4: "h0, h1, h2, h3", 6: "6 nodes (h0, h1, h2, ...)"} {
		if got := names(nodes[:n]); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
