package watch

import (
	"maps"
	"testing"

	"github.com/google/nftables"
	"github.com/nstest/nstest/probes/internal/wire"
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
	m := wire.NewMark()
	echo := &wire.Packet{Protocol: unix.IPPROTO_ICMP, ICMP: true, Type: 8, Payload: m[:]}
	another := &wire.Packet{Protocol: unix.IPPROTO_ICMP, ICMP: true, Type: 8, Payload: make([]byte, wire.MarkSize)}
	u := &uses{mark: m, flows: []wire.Flow{{Protocol: wire.ICMP}}, ours: map[uint32]bool{}, heard: map[ruleRef]use{}}
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
	u := &uses{flows: []wire.Flow{{Protocol: wire.UDP, Port: 53}, {Protocol: wire.TCP, Port: 80}}}
	for name, test := range map[string]struct {
		packet wire.Packet
		want   bool
	}{
		"a request":                 {wire.Packet{Protocol: unix.IPPROTO_UDP, DestinationPort: 53, Payload: []byte(wire.RequestWord + "0123")}, true},
		"an answer":                 {wire.Packet{Protocol: unix.IPPROTO_UDP, SourcePort: 5353, Payload: []byte(wire.AnswerWord + "0123")}, true},
		"an answer of no responder": {wire.Packet{Protocol: unix.IPPROTO_UDP, SourcePort: 53, Payload: []byte("hello")}, true},
		"another datagram":          {wire.Packet{Protocol: unix.IPPROTO_UDP, SourcePort: 514, DestinationPort: 53, Payload: []byte("hello")}, false},
		"an opening":                {wire.Packet{Protocol: unix.IPPROTO_TCP, Flags: wire.SYN}, true},
		"a reset":                   {wire.Packet{Protocol: unix.IPPROTO_TCP, Flags: wire.RST | wire.ACK}, true},
		"a segment":                 {wire.Packet{Protocol: unix.IPPROTO_TCP, Flags: wire.ACK}, false},
		"an echo":                   {wire.Packet{Protocol: unix.IPPROTO_ICMP, ICMP: true, Type: 8, Payload: make([]byte, wire.MarkSize)}, false},
	} {
		if got := u.isProbes(&test.packet); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
