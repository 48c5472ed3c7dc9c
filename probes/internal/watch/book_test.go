package watch

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nstest/nstest/probes/internal/wire"
)

// flows are several of each protocol, among them two from one port to one port.
func flows() (all []*Trail) {
	nonces := [][wire.NonceSize]byte{testNonce(0x50), testNonce(0x60), testNonce(0x70)}
	for i, nonce := range nonces {
		nonce[0] ^= byte(i) // of a datagram's the first bytes are its own
		for _, f := range []wire.Flow{
			{Protocol: wire.ICMP, Nonce: testNonce(byte(0x50 + 16*i))}, {Protocol: wire.UDP, Port: 80, Nonce: nonce}, {Protocol: wire.TCP, Port: 80, SourcePort: uint16(40000 + i)},
		} {
			f.From, f.Addr = "client", server4
			all = append(all, &Trail{Flow: f, follower: follow(f)})
		}
	}
	other := wire.Flow{From: "printer", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40000}
	return append(all, &Trail{Flow: other, follower: follow(other)})
}

// packetsOf are those of a flow, and where they are seen.
func packetsOf(f wire.Flow, isn uint32) (all []seen) {
	asks := ap(client4, 40000)
	add := func(what string, data []byte) { all = append(all, seen{what, f.From, data, 0}) }
	switch f.Protocol {
	case wire.ICMP:
		add("request", echo(client4, server4, false, 1, 1, f.Nonce[:]))
		add("traced request", echo(client4, server4, false, 1, 1, f.Nonce[:12]))
		add("answer", echo(server4, client4, true, 1, 1, f.Nonce[:]))
		add("refusal", unreachable(server4, echo(client4, server4, false, 1, 1, f.Nonce[:])))
		add("undone", unreachable(client4, echo(server4, client4, true, 1, 1, f.Nonce[:])))
	case wire.UDP:
		add("request", udp(asks, inner, request(f.Nonce)))
		add("traced request", udp(asks, inner, request(f.Nonce)[:12]))
		add("answer", udp(inner, asks, signed(f.Nonce)))
		add("traced answer", udp(inner, asks, signed(f.Nonce)[:12]))
		add("foreign answer", udp(inner, asks, []byte("hello")))
		add("empty answer", udp(inner, asks, nil))
		add("refusal", unreachable(server4, udp(asks, inner, request(f.Nonce))))
		add("short refusal", unreachable(server4, udp(asks, inner, request(f.Nonce))[:28]))
		add("undone", unreachable(client4, udp(inner, asks, signed(f.Nonce))))
	case wire.TCP:
		asks = ap(client4, f.SourcePort)
		add("request", tcp(asks, inner, wire.SYN, isn, 0))
		add("answer", tcp(inner, asks, wire.SYN|wire.ACK, 9, isn+1))
		add("reset", tcp(inner, asks, wire.RST|wire.ACK, 0, isn+1))
		add("bare reset", tcp(inner, asks, wire.RST, 7, 0))
		add("refusal", unreachable(server4, tcp(asks, inner, wire.SYN, isn, 0)))
		add("short refusal", unreachable(server4, tcp(asks, inner, wire.SYN, isn, 0)[:28]))
		add("undone", unreachable(client4, tcp(inner, asks, wire.SYN|wire.ACK, 9, isn+1)))
	}
	return all
}

// Whatever a flow's packet shows, the book has the flow among its candidates.
func TestBookFindsEveryFlow(t *testing.T) {
	t.Parallel()
	w := &Watch{trails: newBook(), early: map[uint32][]func(){}}
	for _, trail := range flows() {
		w.trails.add(trail)
		isn := uint32(1000 * len(w.trails.unkeyed))
		for _, s := range packetsOf(trail.Flow, isn) {
			found, role := w.find(s.node, parsed(s.data))
			if found != trail && !slices.Contains(w.trails.candidates(parsed(s.data)), trail) || role == 0 {
				t.Errorf("%s of %+v: %s of %v", s.what, trail.Flow, role, found)
			}
		}
	}
	for _, s := range []seen{
		{"another's echo request", "client", echo(client4, server4, false, 1, 1, make([]byte, wire.NonceSize)), 0},
		{"a short one", "client", echo(client4, server4, false, 1, 1, nil), 0},
		{"another's request", "client", udp(ap(client4, 4), inner, request([wire.NonceSize]byte{})), 0},
		{"another's answer", "client", udp(inner, ap(client4, 4), []byte(wire.AnswerWord+"no hexadecimal")), 0},
		{"another's connection", "client", tcp(ap(client4, 4), inner, wire.SYN, 5, 0), 0},
		{"a neighbour solicitation", "client", icmp(client6, server6, 135, 0, 0, server6.AsSlice()), 0},
		{"an error about another", "client", unreachable(server4, udp(ap(client4, 4), inner, []byte("x"))), 0},
		{"a later fragment", "client", fragmentAt(tcp(ap(client4, 40000), inner, wire.SYN, 1000, 0), 9), 0},
	} {
		if found, role := w.find(s.node, parsed(s.data)); found != nil || role != 0 {
			t.Errorf("%s is the %s of %+v", s.what, role, found.Flow)
		}
	}
	if len(w.trails.waiting) != 0 {
		t.Errorf("waiting for %v", w.trails.waiting)
	}
}

// A connection waits for its first packet, known by its source port alone; two
// askers may have the same.
func TestBookOfConnections(t *testing.T) {
	t.Parallel()
	b := newBook()
	one := wire.Flow{From: "client", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40000}
	two := one
	two.From = "printer"
	first, second := &Trail{Flow: one, follower: follow(one)}, &Trail{Flow: two, follower: follow(two)}
	b.add(first)
	b.add(second)
	syn := parsed(tcp(ap(client4, 40000), inner, wire.SYN, 77, 0))
	if got := b.candidates(syn); len(got) != 2 {
		t.Errorf("%d wait for it", len(got))
	}
	if got := b.candidates(parsed(tcp(ap(client4, 40001), inner, wire.SYN, 77, 0))); len(got) != 0 {
		t.Errorf("%d wait for another port's", len(got))
	}
	b.learn(first, 77)
	if got := b.candidates(syn); len(got) != 1 || got[0] != first {
		t.Errorf("the first's packet is of %d", len(got))
	}
	if got := b.candidates(parsed(tcp(ap(netip.MustParseAddr("10.0.1.9"), 40000), inner, wire.SYN, 78, 0))); len(got) != 1 || got[0] != second {
		t.Errorf("the second's packet is of %d", len(got))
	}
	b.learn(second, 78)
	if len(b.waiting) != 0 {
		t.Errorf("waiting for %v", b.waiting)
	}
}
