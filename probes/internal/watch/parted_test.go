package watch

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

func TestFilterOfFragments(t *testing.T) {
	t.Parallel()
	later := fragmentAt(udp(ap(client4, 1), ap(server4, 9), nil), 185)
	extended := ip(client6, server6, unix.IPPROTO_DSTOPTS, make([]byte, 24))
	piece := ip(client6, server6, unix.IPPROTO_FRAGMENT, make([]byte, 24))
	other := udp(ap(client4, 1), ap(server4, 9), []byte("nothing here"))
	for _, parts := range []bool{false, true} {
		program, err := testMark.filter(nil, parts)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"a later fragment": later, "an extended packet": extended, "a fragment of v6": piece} {
			if got := passes(t, program, etherType(data), data); got != parts {
				t.Errorf("%s, with parts %v: passes %v", name, parts, got)
			}
		}
		if passes(t, program, etherType(other), other) {
			t.Errorf("a datagram of another passes, with parts %v", parts)
		}
	}
}

// What the fixed header of an extended packet says of its protocol is of the next header: a
// datagram is none of TCP, whatever the mark of that may be, for all that is seen of it.
func TestBehindExtensionHeaders(t *testing.T) {
	t.Parallel()
	const ethernet = 1500
	for upper := range uint32(1) << isnBits {
		w := &Watch{mark: mark{echo: testMark.echo, isn: upper << (32 - isnBits)}}
		segment := func(seq, ack uint32, flags uint8) []byte {
			return tcp(ap(client6, 4000), ap(server6, 53), flags, seq, ack)[ipv6Header:]
		}
		datagram := func(says string) []byte { return udp(ap(client6, 4000), ap(server6, 53), []byte(says))[ipv6Header:] }
		for _, c := range []struct {
			name      string
			transport []byte
			protocol  uint8
			only      bool // where a process may have such a mark
		}{
			{"a request", datagram(wire.RequestWord + "0123456789abcdef"), unix.IPPROTO_UDP, false},
			{"a signed answer", datagram(wire.AnswerWord + "0123456789abcdef"), unix.IPPROTO_UDP, false},
			{"words of a test's", datagram("EHLO there, my good old friend\r\n"), unix.IPPROTO_UDP, true},
			{"a question for a name", datagram("\xff\xff\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www"), unix.IPPROTO_UDP, true},
			{"a full datagram", datagram(strings.Repeat("x", ethernet)), unix.IPPROTO_UDP, true},
			{"a SYN", segment(w.mark.isn+5, 0, wire.SYN), unix.IPPROTO_TCP, false},
			{"a SYN,ACK", segment(77, w.mark.isn+6, wire.SYN|wire.ACK), unix.IPPROTO_TCP, false},
		} {
			if c.only && w.mark.isn&isnTop == 0 {
				continue
			}
			network := ip(client6, server6, unix.IPPROTO_DSTOPTS, nil)[:ipv6Header]
			packet, ok := w.behind(&traceEvent{network: network, transport: c.transport[:min(len(c.transport), 20)]}, ethernet)
			if !ok || packet.Protocol != c.protocol {
				t.Fatalf("%s, with the mark %#x: %+v", c.name, w.mark.isn, packet)
			}
		}
	}
	for range 64 {
		if m := newMark(); m.isn&isnTop == 0 {
			t.Fatalf("a process may have the mark %#x", m.isn)
		}
	}
}

// A later fragment is whose the first was; where that was seen nowhere it is of who is sent in
// fragments to its addresses, and of several nothing is concluded.
func TestWhoseFragments(t *testing.T) {
	t.Parallel()
	first := &wire.Packet{Source: client4, Destination: server4, Piece: wire.Piece{ID: 7, Size: 8, More: true}}
	later := func(id uint32) *wire.Packet {
		return &wire.Packet{Source: client4, Destination: server4, Fragment: true, Piece: wire.Piece{ID: id, Offset: 8, Size: 8}}
	}
	back := &wire.Packet{Source: server4, Destination: client4, Fragment: true, Piece: wire.Piece{ID: 9, Offset: 8, Size: 8}}
	b := newBook()
	one, two := &Trail{Flow: wire.Flow{Addr: server4, Parted: true}}, &Trail{Flow: wire.Flow{Addr: server4, Parted: true}}
	b.trails[one], b.trails[&Trail{Flow: wire.Flow{Addr: server4}}] = true, true
	b.notePiece(first, one, request)
	for name, c := range map[string]struct {
		packet *wire.Packet
		is     role
	}{"whose first was seen": {later(7), request}, "whose first was not": {later(8), request}, "of an answer": {back, answer}} {
		if found, is := b.findPiece(c.packet); found != one || is != c.is || one.lost != "" {
			t.Errorf("%s: %v %v, lost %q", name, found == one, is, one.lost)
		}
	}
	b.trails[two] = true
	if found, _ := b.findPiece(later(7)); found != one || one.lost != "" {
		t.Errorf("of two, whose first was seen: lost %q", one.lost)
	}
	if b.findPiece(later(8)); one.lost == "" || two.lost == "" {
		t.Error("of two, whose first was not: something is concluded")
	}
	b.remove(one)
	if len(b.pieces) > 0 {
		t.Error("one that is done keeps its fragments")
	}
}
