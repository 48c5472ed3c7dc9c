package watch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// What is sent in fragments, or with extension headers of IPv6: taps and traces let it through from
// the first such probe on.

// hearParted has fragments and extended packets heard, and traced.
func (w *Watch) hearParted(f wire.Flow) error {
	if !f.Parted || w.parts {
		return nil
	}
	w.parts = true
	program, err := w.filter()
	for _, p := range w.points {
		if err == nil {
			err = SetFilter(p.tap, program)
		}
		if err == nil && p.table != nil {
			err = p.putBack(w, p.table.addBesides(partedMatches()))
		}
		if err != nil {
			w.parts = false
			return fmt.Errorf("node %s: hear fragments: %w", p.node, err)
		}
	}
	return nil
}

// extensions are the headers of IPv6 that the header of a probe's protocol may be behind.
var extensions = []byte{unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_FRAGMENT, unix.IPPROTO_DSTOPTS}

// partedMatches are the conditions of later fragments of IPv4, and of what has an extension header.
func partedMatches() [][]expr.Any {
	const flags, next = 6, 6 // offsets in the headers of IPv4 and of IPv6
	field := func(offset, size int) expr.Any {
		return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: uint32(offset), Len: uint32(size)}
	}
	all := [][]expr.Any{join(etherIs(unix.ETH_P_IP), []expr.Any{
		field(flags, 2),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{0x1f, 0xff}, Xor: []byte{0, 0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0, 0}},
	})}
	for _, header := range extensions {
		all = append(all, join(etherIs(unix.ETH_P_IPV6), []expr.Any{
			field(next, 1), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{header}},
		}))
	}
	return all
}

// pieceKey is what the fragments of one packet have in common.
type pieceKey struct {
	from, to netip.Addr
	id       uint32
}

func pieceKeyOf(p *wire.Packet) pieceKey { return pieceKey{p.Source, p.Destination, p.Piece.ID} }

// ofTrail is a trail, and what a packet is to it.
type ofTrail struct {
	*Trail
	role role
}

// notePiece keeps whose a first fragment is: the later ones have nothing else to be known by.
func (b *book) notePiece(packet *wire.Packet, t *Trail, is role) {
	if t != nil && packet.IsPiece() {
		b.pieces[pieceKeyOf(packet)] = ofTrail{t, is}
	}
}

// findPiece is the trail of a later fragment. One whose first was seen nowhere is of a probe that is
// sent in fragments to, or answered from, its addresses; where it may be of several, nothing is
// concluded of them.
func (b *book) findPiece(packet *wire.Packet) (found *Trail, is role) {
	if of := b.pieces[pieceKeyOf(packet)]; of.Trail != nil {
		return of.Trail, of.role
	}
	for t := range b.trails {
		addr := t.Flow.Addr.WithZone("")
		if !t.Flow.Parted || addr != packet.Source && addr != packet.Destination {
			continue
		}
		if found != nil {
			found.lost, t.lost = "a fragment was seen that may be of several probes", "a fragment was seen that may be of several probes"
		}
		found, is = t, request
		if addr == packet.Source {
			is = answer
		}
	}
	return found, is
}

// shown is the packet of an event. Of IPv6 with extension headers a trace has the first header and
// the last, and not what is between: what is missing of a fragment is known by the tap.
func (w *Watch) shown(p *point, e *traceEvent, r *record, begins bool) (*wire.Packet, bool) {
	const fixed, nextHeader, length, hops = 40, 6, 4, 7
	head := e.network
	later := len(head) == 0
	if later { // what is told of a later one is its IPv6 header, as far as there is room
		head = e.transport
	}
	if !w.parts || len(head) <= hops || head[0]>>4 != 6 || !slices.Contains(extensions, head[nextHeader]) || !later && len(head) != fixed {
		return wire.Parse(join2(e.network, e.transport))
	}
	size, ttl := fixed+int(binary.BigEndian.Uint16(head[length:])), head[hops]
	if head[nextHeader] != unix.IPPROTO_FRAGMENT {
		return w.behind(e, size)
	}
	if r != nil && r.packet.IsPiece() && r.packet.Length == size && (!begins || r.Layer == account.Device && layerOf(e.family) == account.IP) {
		same := *r.packet
		same.TTL = ttl
		return &same, true
	}
	at := slices.IndexFunc(p.pieces, func(seen piece) bool {
		return seen.Fragment == later && seen.Length == size && (later || seen.shows(e.transport))
	})
	if at < 0 {
		return nil, false
	}
	packet := p.pieces[at].Packet
	packet.TTL = ttl // a tap's may have been written over since
	p.pieces = slices.Delete(p.pieces, at, at+1)
	return &packet, true
}

// behind is an extended packet of which an event has but the first header and the last: what of
// the probes' protocols that is, it tells by what they have there. A datagram's length, and its
// first words, are where a segment has its numbers.
func (w *Watch) behind(e *traceEvent, size int) (*wire.Packet, bool) {
	const header, nextHeader, echo, reply = 8, 6, icmp6Echo, icmp6EchoReply
	if len(e.transport) < header+wire.MarkSize {
		return nil, false
	}
	word, first := e.transport[header:header+wire.MarkSize], e.transport[0]
	next := byte(unix.IPPROTO_UDP)
	switch marked := bytes.Equal(word, w.mark.echo[:]); {
	case marked && (first == echo || first == reply):
		next = unix.IPPROTO_ICMPV6
	case marked:
		next = unix.IPPROTO_NONE
	case bytes.Equal(word, []byte(wire.RequestWord)), bytes.Equal(word, []byte(wire.AnswerWord)):
	case w.mark.isOfSegment(e.transport):
		next = unix.IPPROTO_TCP
	}
	whole := join2(e.network, e.transport)
	whole[nextHeader] = next
	packet, ok := wire.Parse(whole)
	if ok {
		packet.Extended, packet.Length = true, size
	}
	return packet, ok
}

// piece is a fragment that a tap saw.
type piece struct{ wire.Packet }

// shows says whether a first one has what a trace shows of it from its transport header on. Of the
// later ones of a size, of several probes at once, any may stand for another.
func (p piece) shows(transport []byte) bool {
	const header = 8
	return len(transport) > header && begins(transport[header:], p.Payload)
}

// mostPieces bounds the fragments that a node keeps for its trace to tell of.
const mostPieces = 256

// seePiece keeps a fragment of IPv6 that a tap saw come in, until the trace tells of it.
func (p *point) seePiece(f *frame, packet *wire.Packet) {
	if packet.IsPiece() && packet.Source.Is6() && p.table != nil && !f.out() && !f.foreign() {
		kept := piece{*packet}
		kept.Payload = slices.Clone(packet.Payload) // of the reader's buffer
		p.pieces = append(p.pieces[max(0, len(p.pieces)+1-mostPieces):], kept)
	}
}
