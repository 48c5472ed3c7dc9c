package watch

import (
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
