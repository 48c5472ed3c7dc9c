package watch

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Addresses and ports of a path with translation: the client's port 40000 asks the
// firewall's address, which is the server's from there on.
var (
	asker  = ap(client4, 40000)
	public = ap(netip.MustParseAddr("10.0.1.2"), 8080)
	hidden = ap(netip.MustParseAddr("10.0.2.2"), 61000) // the asker, behind source translation
	inner  = ap(server4, 80)
)

func testNonce(seed byte) (nonce [wire.NonceSize]byte) {
	for i := range nonce {
		nonce[i] = byte(i) // the mark, which flows share
		if i >= wire.MarkSize {
			nonce[i] ^= seed
		}
	}
	return nonce
}

func request(nonce [wire.NonceSize]byte) []byte { return append([]byte(wire.RequestWord), nonce[:]...) }

func signed(nonce [wire.NonceSize]byte) []byte {
	return []byte(wire.AnswerWord + hex.EncodeToString(nonce[:]) + " server\n")
}

// seen is a packet at a node, and what it is to a flow.
type seen struct {
	what, node string
	data       []byte
	want       evidence.Role
}

// is hands packets to a follower, in order.
func is(t *testing.T, f *follower, packets []seen) {
	t.Helper()
	for _, s := range packets {
		if got := f.role(s.node, parsed(s.data)); got != s.want {
			t.Errorf("%s at %s is %s, want %s", s.what, s.node, got, s.want)
		}
	}
}

func TestRolesOfICMP(t *testing.T) {
	t.Parallel()
	nonce, other := testNonce(0x50), testNonce(0x60)
	for _, c := range []struct{ client, server, fw netip.Addr }{
		{client4, server4, netip.MustParseAddr("10.0.1.2")}, {client6, server6, netip.MustParseAddr("fd00:1::2")},
	} {
		asks := echo(c.client, c.server, false, 7, 1, nonce[:])
		says := echo(c.server, c.client, true, 7, 1, nonce[:])
		is(t, follow(wire.Flow{From: "client", Addr: c.server, Protocol: wire.ICMP, Nonce: nonce}), []seen{
			{"the request", "client", asks, evidence.Request},
			{"the request", "fw", asks, evidence.Request},
			{"with a rest", "fw", echo(c.client, c.server, false, 7, 1, append(nonce[:], "and more"...)), evidence.Request},
			{"translated", "fw", echo(c.fw, c.client, false, 9, 9, nonce[:]), evidence.Request},
			{"as a trace has it", "fw", echo(c.client, c.server, false, 7, 1, nonce[:12]), evidence.Request},
			{"cut after the mark", "fw", echo(c.client, c.server, false, 7, 1, nonce[:11]), 0},
			{"another's", "fw", echo(c.client, c.server, false, 8, 1, other[:]), 0},
			{"the answer", "server", says, evidence.Answer},
			{"the answer as a trace has it", "fw", echo(c.server, c.client, true, 7, 1, nonce[:12]), evidence.Answer},
			{"another's answer", "server", echo(c.server, c.client, true, 7, 1, other[:]), 0},
			{"an error about it", "fw", unreachable(c.fw, asks), evidence.Refusal},
			{"an error that quotes little", "fw", unreachable(c.fw, asks[:len(asks)-wire.NonceSize]), evidence.Refusal},
			{"an error about the answer", "fw", unreachable(c.fw, says), evidence.Undone},
			{"an error about another", "fw", unreachable(c.fw, echo(c.client, c.server, false, 7, 2, other[:])), 0},
			{"such an error that quotes little", "fw", unreachable(c.fw, echo(c.client, c.server, false, 7, 2, nil)), 0},
			{"an error about nothing", "fw", unreachable(c.fw, asks)[:len(asks)-wire.NonceSize], 0},
			{"a datagram with the nonce", "fw", udp(ap(c.client, 1), ap(c.server, 2), request(nonce)), 0},
		})
	}
}

func TestRolesOfUDP(t *testing.T) {
	t.Parallel()
	nonce, other := testNonce(0x50), testNonce(0x60)
	asks := udp(asker, inner, request(nonce))
	f := follow(wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80, Nonce: nonce})
	is(t, f, []seen{
		{"an answer to nothing", "fw", udp(inner, asker, []byte("hello")), 0},
		{"the request", "client", asks, evidence.Request},
		{"the request", "fw", asks, evidence.Request},
		{"as a trace has it", "fw", udp(asker, inner, request(nonce)[:12]), evidence.Request},
		{"cut earlier", "fw", udp(asker, inner, request(nonce)[:11]), 0},
		{"another's", "client", udp(ap(client4, 40001), inner, request(other)), 0},
		{"the signed answer", "server", udp(inner, asker, signed(nonce)), evidence.Answer},
		{"the signed answer, translated", "client", udp(public, asker, signed(nonce)), evidence.Answer},
		{"the signed answer as a trace has it", "fw", udp(inner, asker, signed(nonce)[:12]), evidence.Answer},
		{"another's signed answer", "server", udp(inner, asker, signed(other)), 0},
		{"a foreign service's answer", "fw", udp(inner, asker, []byte("hello")), evidence.Answer},
		{"a foreign service's empty answer", "fw", udp(inner, asker, nil), evidence.Answer},
		{"its answer where the request was not", "server", udp(inner, asker, []byte("hello")), 0},
		{"its answer to another", "fw", udp(inner, ap(client4, 40001), []byte("hello")), 0},
		{"port unreachable", "fw", unreachable(server4, asks), evidence.Refusal},
		{"port unreachable that quotes little", "fw", unreachable(server4, asks[:28]), evidence.Refusal},
		{"the same where the request was not", "elsewhere", unreachable(server4, asks[:28]), 0},
		{"an error about the answer", "server", unreachable(client4, udp(inner, asker, signed(nonce))), evidence.Undone},
		{"an error about a foreign answer", "fw", unreachable(client4, udp(inner, asker, []byte("hello"))), evidence.Undone},
		{"an error about another", "fw", unreachable(server4, udp(ap(client4, 40001), inner, request(other))), 0},
		{"a later fragment", "fw", fragmentAt(asks, 185), 0},
		{"a segment with the nonce's bytes", "fw", tcp(asker, inner, wire.SYN, 1, 0), 0},
	})
}

func TestRolesOfTCP(t *testing.T) {
	t.Parallel()
	const isn, theirs = 0xffff_ffff, 5 // the sum turns over
	syn, synack := tcp(asker, inner, wire.SYN, isn, 0), tcp(inner, asker, wire.SYN|wire.ACK, theirs, 0)
	f := follow(wire.Flow{From: "client", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40000})
	is(t, f, []seen{
		{"somebody's at another node, before", "fw", syn, 0},
		{"another source port", "client", tcp(ap(client4, 40001), inner, wire.SYN, 1, 0), 0},
		{"another port", "client", tcp(asker, ap(server4, 81), wire.SYN, 1, 0), 0},
		{"another address", "client", tcp(asker, ap(client4, 80), wire.SYN, 1, 0), 0},
		{"a reset before the request", "client", tcp(inner, asker, wire.RST|wire.ACK, 0, 0), 0},
		{"the request", "client", syn, evidence.Request},
		{"the request", "fw", syn, evidence.Request},
		{"sent again", "client", syn, evidence.Request},
		{"as a trace has it", "fw", syn[:40], evidence.Request},
		{"another's", "fw", tcp(asker, inner, wire.SYN, isn-1, 0), 0},
		{"the answer", "server", synack, evidence.Answer},
		{"another's answer", "server", tcp(inner, ap(client4, 40001), wire.SYN|wire.ACK, theirs, 99), 0},
		{"the third segment", "client", tcp(asker, inner, wire.ACK, 0, theirs+1), 0},
		{"the asker's own reset", "client", tcp(asker, inner, wire.RST|wire.ACK, 0, theirs+1), 0},
		{"a reset", "fw", tcp(inner, asker, wire.RST|wire.ACK, 0, 0), evidence.Refusal},
		{"a reset without its number", "fw", tcp(inner, asker, wire.RST, 3, 0), evidence.Refusal},
		{"the same where the request was not", "elsewhere", tcp(inner, asker, wire.RST, 3, 0), 0},
		{"unreachable", "fw", unreachable(server4, syn), evidence.Refusal},
		{"unreachable that quotes little", "fw", unreachable(server4, syn[:28]), evidence.Refusal},
		{"an error about the answer", "fw", unreachable(client4, synack), evidence.Undone},
		{"an error about the answer that quotes little", "fw", unreachable(client4, synack[:28]), evidence.Undone},
		{"an echo request", "fw", echo(client4, server4, false, 1, 1, make([]byte, 16)), 0},
	})
}

// Translation changes addresses and ports on the way, there and back.
func TestRolesUnderTranslation(t *testing.T) {
	t.Parallel()
	nonce := testNonce(0x50)
	udpFlow := follow(wire.Flow{From: "client", Addr: public.Addr(), Protocol: wire.UDP, Port: 8080, Nonce: nonce})
	is(t, udpFlow, []seen{
		{"the request", "client", udp(asker, public, request(nonce)), evidence.Request},
		{"the request, on its way in", "fw", udp(asker, public, request(nonce)), evidence.Request},
		{"the request, translated", "fw", udp(hidden, inner, request(nonce)), evidence.Request},
		{"the request, translated", "server", udp(hidden, inner, request(nonce)), evidence.Request},
		{"a foreign answer", "server", udp(inner, hidden, []byte("hello")), evidence.Answer},
		{"a foreign answer, on its way in", "fw", udp(inner, hidden, []byte("hello")), evidence.Answer},
		{"a foreign answer, translated back", "fw", udp(public, asker, []byte("hello")), evidence.Answer},
		{"a foreign answer", "client", udp(public, asker, []byte("hello")), evidence.Answer},
		{"a foreign answer that nobody translated", "client", udp(inner, asker, []byte("hello")), 0},
	})
	tcpFlow := follow(wire.Flow{From: "client", Addr: public.Addr(), Protocol: wire.TCP, Port: 8080, SourcePort: 40000})
	is(t, tcpFlow, []seen{
		{"the request", "client", tcp(asker, public, wire.SYN, 100, 0), evidence.Request},
		{"the request, translated", "server", tcp(hidden, inner, wire.SYN, 100, 0), evidence.Request},
		{"the answer", "server", tcp(inner, hidden, wire.SYN|wire.ACK, 7, 101), evidence.Answer},
		{"the answer, translated back", "client", tcp(public, asker, wire.SYN|wire.ACK, 7, 101), evidence.Answer},
		{"a reset of the server", "fw", tcp(inner, hidden, wire.RST|wire.ACK, 0, 101), evidence.Refusal},
	})
}

// Two probes at once, of every protocol: no packet of one is the other's.
func TestFlowsDoNotMix(t *testing.T) {
	t.Parallel()
	one, two := testNonce(0x50), testNonce(0x60)
	type pair struct {
		a, b wire.Flow
		ofA  [][]byte // the first is what the asker sends
	}
	for _, p := range []pair{
		{
			wire.Flow{From: "client", Addr: server4, Protocol: wire.ICMP, Nonce: one}, wire.Flow{From: "client", Addr: server4, Protocol: wire.ICMP, Nonce: two},
			[][]byte{echo(client4, server4, false, 7, 1, one[:]), echo(server4, client4, true, 7, 1, one[:12]), unreachable(server4, echo(client4, server4, false, 7, 1, one[:]))},
		}, {
			wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80, Nonce: one}, wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80, Nonce: two},
			[][]byte{udp(asker, inner, request(one)), udp(inner, asker, signed(one)), udp(inner, asker, nil), unreachable(server4, udp(asker, inner, request(one))[:28])},
		}, {
			wire.Flow{From: "client", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40000}, wire.Flow{From: "client", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40001},
			[][]byte{tcp(asker, inner, wire.SYN, 9, 0), tcp(inner, asker, wire.SYN|wire.ACK, 1, 10), tcp(inner, asker, wire.RST, 1, 0), unreachable(server4, tcp(asker, inner, wire.SYN, 9, 0)[:28])},
		},
	} {
		a, b := follow(p.a), follow(p.b)
		switch p.b.Protocol {
		case wire.TCP:
			b.role("client", parsed(tcp(ap(client4, 40001), inner, wire.SYN, 77, 0)))
		case wire.UDP:
			b.role("client", parsed(udp(ap(client4, 40001), inner, request(two))))
		}
		for i, data := range p.ofA {
			if a.role("client", parsed(data)) == 0 {
				t.Errorf("%s %d: not its own", parsed(data), i)
			}
			if role := b.role("client", parsed(data)); role != 0 {
				t.Errorf("%s %d: the other's %s", parsed(data), i, role)
			}
		}
	}
}
