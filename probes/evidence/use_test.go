package evidence

import (
	"maps"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// What an event makes of a rule, by the kernel's codes (linux/netfilter.h,
// linux/netfilter/nf_tables.h).
func TestUseOfAnEvent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind    uint32
		handle  uint64
		verdict int32
		want    use
	}{
		"drop":                {traceRule, 4, 0, decided},
		"accept":              {traceRule, 4, 1, decided},
		"stolen":              {traceRule, 4, 2, decided},
		"queue to 5":          {traceRule, 4, 5<<16 | 3, decided},
		"continue":            {traceRule, 4, -1, matched},
		"jump":                {traceRule, 4, -3, matched},
		"goto":                {traceRule, 4, -4, matched},
		"return":              {traceReturn, 4, -5, matched},
		"the end of a chain":  {traceReturn, 0, -1, never},
		"a policy":            {tracePolicy, 0, -1, decided},
		"a policy of a chain": {tracePolicy, 9, -1, decided},
	} {
		ref, did := traceEvent{family: nftables.TableFamilyINet, table: "filter", chain: "forward", kind: test.kind, handle: test.handle, verdict: test.verdict}.use()
		if handle := test.handle; did != test.want || test.kind != tracePolicy && ref.handle != handle || test.kind == tracePolicy && ref.handle != 0 {
			t.Errorf("%s: %s of %+v, not %s", name, did, ref, test.want)
		}
	}
}

// Only probes' packets are heard of, and no watch's tables. The kernel calls one
// packet what it called another before.
func TestUsesAreOfProbes(t *testing.T) {
	t.Parallel()
	m := newMark()
	echo := &packet{protocol: unix.IPPROTO_ICMP, isICMP: true, icmpType: 8, payload: m[:]}
	another := &packet{protocol: unix.IPPROTO_ICMP, isICMP: true, icmpType: 8, payload: make([]byte, MarkSize)}
	u := &uses{mark: m, flows: []Flow{{Protocol: ICMP}}, ours: map[uint32]bool{}, heard: map[ruleRef]use{}}
	for _, e := range []traceEvent{
		{id: 1, table: "nstest-trace-01", kind: traceRule, handle: 2, verdict: -1, packet: echo},
		{id: 1, table: "filter", kind: traceRule, handle: 3, verdict: -3, packet: echo},
		{id: 1, table: "filter", kind: traceRule, handle: 4, verdict: 1},
		{id: 1, table: "filter", kind: traceRule, handle: 3, verdict: -3, packet: echo},
		{id: 2, table: "filter", kind: traceRule, handle: 5, verdict: 0, packet: another},
		{id: 2, table: "filter", kind: tracePolicy, policy: 1},
		{id: 1, table: "filter", kind: traceRule, handle: 6, verdict: -3, packet: another},
		{id: 1, table: "filter", kind: traceRule, handle: 7, verdict: 0},
	} {
		u.hear(e)
	}
	if want := map[ruleRef]use{{table: "filter", handle: 3}: matched, {table: "filter", handle: 4}: decided}; !maps.Equal(u.heard, want) {
		t.Errorf("%v", u.heard)
	}
}

// A packet is a probe's by the same marks as in the kernel.
func TestUsesKnowProbes(t *testing.T) {
	t.Parallel()
	u := &uses{flows: []Flow{{Protocol: UDP, Port: 53}, {Protocol: TCP, Port: 80}}}
	for name, test := range map[string]struct {
		packet packet
		want   bool
	}{
		"a request":                 {packet{protocol: unix.IPPROTO_UDP, dport: 53, payload: []byte(RequestWord + "0123")}, true},
		"an answer":                 {packet{protocol: unix.IPPROTO_UDP, sport: 5353, payload: []byte(AnswerWord + "0123")}, true},
		"an answer of no responder": {packet{protocol: unix.IPPROTO_UDP, sport: 53, payload: []byte("hello")}, true},
		"another datagram":          {packet{protocol: unix.IPPROTO_UDP, sport: 514, dport: 53, payload: []byte("hello")}, false},
		"an opening":                {packet{protocol: unix.IPPROTO_TCP, flags: tcpSYN}, true},
		"a reset":                   {packet{protocol: unix.IPPROTO_TCP, flags: tcpRST | tcpACK}, true},
		"a segment":                 {packet{protocol: unix.IPPROTO_TCP, flags: tcpACK}, false},
		"an echo":                   {packet{protocol: unix.IPPROTO_ICMP, isICMP: true, icmpType: 8, payload: make([]byte, MarkSize)}, false},
	} {
		if got := u.isProbes(&test.packet); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
