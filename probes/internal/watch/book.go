package watch

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// book finds the probe that a packet belongs to: a survey has hundreds. A packet
// mostly shows four bytes of a nonce, or a sequence number; an answer that shows
// neither is the reverse of a request that was seen at the same node.
type book struct {
	trails  map[*Trail]bool
	byNonce map[uint32]*Trail
	bySlot  [isnFollowed]*Trail
	slot    int               // that was given last
	kept    [isnFollowed]bool // of connections that live; see Keep
	byTuple map[place]*Trail
	// anywhere is byTuple at any node: an answer may go another way than its request. A tuple
	// of several trails is nobody's.
	anywhere map[wire.Tuple]*Trail
	says     map[*Trail]bool // whose datagrams are known by what they say
	pieces   map[pieceKey]ofTrail
}

// place is a tuple seen at a node.
type place struct {
	point *point
	wire.Tuple
}

func newBook() book {
	return book{trails: map[*Trail]bool{}, byNonce: map[uint32]*Trail{}, byTuple: map[place]*Trail{}, anywhere: map[wire.Tuple]*Trail{}, says: map[*Trail]bool{}, pieces: map[pieceKey]ofTrail{}}
}

// add gives a trail what its packets are known by; the numbers of an earlier one, unless that
// is nil.
func (b *book) add(t *Trail, m mark, on *Trail) {
	b.trails[t] = true
	for {
		t.Flow.Nonce = m.nonce(t.Flow.Protocol)
		t.key = nonceKeyOf(t.Flow)
		if b.byNonce[t.key] == nil {
			break
		}
	}
	b.byNonce[t.key] = t
	if !t.Flow.Protocol.Numbered() {
		return
	}
	if on != nil {
		t.slot, t.isn = on.slot, on.isn
		b.bySlot[t.slot] = t
		return
	}
	for range b.bySlot {
		b.slot = (b.slot + 1) % isnFollowed
		if b.bySlot[b.slot] == nil && !b.kept[b.slot] {
			break
		}
	}
	t.slot = b.slot
	b.bySlot[t.slot] = t
	t.isn = m.isnOf(t.slot)
}

func (b *book) remove(t *Trail) {
	if !b.trails[t] {
		return
	}
	delete(b.trails, t)
	delete(b.says, t)
	if b.byNonce[t.key] == t {
		delete(b.byNonce, t.key)
	}
	if t.Flow.Protocol.Numbered() && b.bySlot[t.slot] == t {
		b.bySlot[t.slot] = nil
	}
	if t.Flow.Parted {
		maps.DeleteFunc(b.pieces, func(_ pieceKey, of ofTrail) bool { return of.Trail == t })
	}
	for _, at := range t.places {
		if b.byTuple[at] == t {
			delete(b.byTuple, at)
		}
		delete(b.anywhere, at.Tuple)
	}
}

// note keeps where a request was seen: what comes back is its reverse.
func (b *book) note(t *Trail, at place) {
	for _, at := range []place{at, to(at.point, at.Reverse())} {
		if b.byTuple[at] != t {
			b.byTuple[at] = t
			t.places = append(t.places, at)
		}
		if other, known := b.anywhere[at.Tuple]; !known {
			b.anywhere[at.Tuple] = t
		} else if other != t {
			b.anywhere[at.Tuple] = nil
		}
	}
}

// to is what goes to an address and port there, whoever sends it.
func to(p *point, t wire.Tuple) place {
	return place{p, wire.Tuple{Protocol: t.Protocol, Destination: t.Destination, DestinationPort: t.DestinationPort}}
}

// nonceKeyOf is the part of its nonce that a flow is known by.
func nonceKeyOf(f wire.Flow) uint32 {
	if f.Protocol.Marked() {
		return binary.BigEndian.Uint32(f.Nonce[wire.MarkSize:])
	}
	return binary.BigEndian.Uint32(f.Nonce[:])
}

// find is the trail that a packet is of, and what it is to it; nil where it is of
// none.
func (b *book) find(p *point, packet *wire.Packet) (*Trail, role) {
	if packet.Fragment {
		return b.findPiece(packet)
	}
	t, is := b.findWhole(p, packet)
	b.notePiece(packet, t, is)
	return t, is
}

// findWhole is find of a packet that shows its transport header.
func (b *book) findWhole(p *point, packet *wire.Packet) (*Trail, role) {
	switch {
	case packet.About != nil:
		return b.findError(p, packet)
	case packet.Protocol == unix.IPPROTO_TCP:
		return b.findSegment(p, packet)
	case packet.IsEcho():
		return b.findEcho(packet)
	case packet.IsTimestamp():
		return b.findTimestamp(p, packet)
	}
	t := b.findOther(packet)
	switch {
	case t != nil: // asked by the protocol's number
	case packet.IsDatagram():
		return b.findDatagram(p, packet)
	case packet.Protocol == unix.IPPROTO_SCTP:
		return b.findAssociation(p, packet)
	}
	return t, request
}

// findOther is the trail of an echo, or of a packet of a protocol that has no probe of its own:
// what follows the first eight bytes begins with the nonce.
func (b *book) findOther(packet *wire.Packet) *Trail {
	if len(packet.Payload) < wire.MarkSize+4 {
		return nil
	}
	t := b.byNonce[binary.BigEndian.Uint32(packet.Payload[wire.MarkSize:])]
	if t == nil || !t.Flow.Protocol.Marked() || !begins(packet.Payload, t.Flow.Nonce[:]) {
		return nil
	}
	return t
}

func (b *book) findError(p *point, packet *wire.Packet) (*Trail, role) {
	t, was := b.find(p, packet.About)
	switch was {
	case request:
		return t, refusal
	case answer, refusal:
		return t, undone
	}
	if t = b.byTuple[place{p, packet.About.Tuple()}]; t != nil { // less was quoted than tells
		return t, refusal
	}
	return nil, 0
}

func (b *book) findEcho(packet *wire.Packet) (*Trail, role) {
	t := b.findOther(packet)
	switch {
	case t == nil:
		return nil, 0
	case packet.IsEchoRequest():
		return t, request
	}
	return t, answer
}

// findTimestamp is the trail of an ICMP timestamp request, or of the reply, which has but four
// bytes of its own: it is the reverse of a request, here or at another node.
func (b *book) findTimestamp(p *point, packet *wire.Packet) (*Trail, role) {
	if packet.Type == wire.Timestamp {
		t := b.findOther(packet)
		if t != nil {
			b.note(t, place{p, packet.Tuple()})
		}
		return t, request
	}
	back := packet.Tuple().Reverse()
	for _, t := range []*Trail{b.byTuple[place{p, back}], b.byTuple[to(p, packet.Tuple())], b.anywhere[back]} {
		if t != nil && t.Flow.Protocol == wire.ICMP {
			return t, answer
		}
	}
	return nil, 0
}

func (b *book) findDatagram(p *point, packet *wire.Packet) (*Trail, role) {
	if rest, ok := bytes.CutPrefix(packet.Payload, []byte(wire.RequestWord)); ok && len(rest) >= 4 {
		t := b.byNonce[binary.BigEndian.Uint32(rest)]
		if t == nil || !t.Flow.Protocol.IsDatagrams() || !begins(rest, t.Flow.Nonce[:]) {
			return nil, 0
		}
		if b.goesBack(t, p, packet.Tuple()) {
			return t, answer // of a service that sends back what it gets, from where it was asked or not
		}
		b.note(t, place{p, packet.Tuple()})
		return t, request
	}
	if rest, ok := bytes.CutPrefix(packet.Payload, []byte(wire.AnswerWord)); ok && len(rest) >= 8 {
		raw, err := hex.DecodeString(string(rest[:8]))
		if err != nil {
			return nil, 0
		}
		if t := b.byNonce[binary.BigEndian.Uint32(raw)]; t != nil && t.Flow.Protocol.IsDatagrams() {
			return t, answer
		}
		return nil, 0
	}
	if t := b.ofWords(packet); t != nil {
		if b.goesBack(t, p, packet.Tuple()) {
			return t, answer
		}
		b.note(t, place{p, packet.Tuple()})
		return t, request
	}
	if t := b.byTuple[place{p, packet.Tuple().Reverse()}]; t != nil && t.Flow.Protocol.IsDatagrams() {
		return t, answer
	}
	if t := b.cutOff(packet); t != nil {
		return t, answer
	}
	if t := b.byTuple[to(p, packet.Tuple())]; t != nil && t.Flow.Protocol.IsDatagrams() {
		return t, answer // from where it was not asked
	}
	if t := b.byTuple[place{p, packet.Tuple()}]; t != nil && t.Flow.Protocol.IsDatagrams() && len(packet.Payload) == 0 {
		return t, request // quoted by an ICMP error that has its header alone
	}
	for _, tuple := range []wire.Tuple{packet.Tuple().Reverse(), to(p, packet.Tuple()).Tuple} {
		if t := b.anywhere[tuple]; t != nil && t.Flow.Protocol.IsDatagrams() {
			return t, answer // by another way than its request
		}
	}
	return nil, 0
}

// ofWords is the trail whose words a datagram is; nil where it may be of several. Those that say
// the same at once are told by their source ports, which few routers change.
func (b *book) ofWords(packet *wire.Packet) (found *Trail) {
	several := false
	for t := range b.says {
		if !t.said(packet) {
			continue
		}
		if t.Flow.SourcePort == packet.SourcePort {
			return t
		}
		several = several || found != nil
		found = t
	}
	if several {
		return nil
	}
	return found
}

// said says whether a datagram, which may be cut off, has words of the trail's.
func (t *Trail) said(packet *wire.Packet) bool {
	same := t.Flow.Addr.Is4() == packet.Destination.Is4() && (t.Flow.Protocol == wire.UDPLite) == (packet.Protocol == unix.IPPROTO_UDPLITE)
	return len(packet.Payload) > 0 && same && slices.ContainsFunc(t.says, func(text string) bool {
		return strings.HasPrefix(text, string(packet.Payload))
	})
}

// goesBack says whether what carries a trail's words goes back to who asked: it comes from
// where a request went, or goes to where one came from, here or at another node.
func (b *book) goesBack(t *Trail, p *point, tuple wire.Tuple) bool {
	asked := netip.AddrPortFrom(t.Flow.Addr.WithZone(""), t.Flow.Port)
	back, onward := to(p, tuple), tuple.Reverse()
	switch {
	case b.byTuple[place{p, onward}] == t || b.byTuple[back] == t:
		return true
	case b.byTuple[place{p, tuple}] == t || netip.AddrPortFrom(tuple.Destination, tuple.DestinationPort) == asked:
		return false
	}
	return b.anywhere[onward] == t || b.anywhere[back.Tuple] == t || netip.AddrPortFrom(tuple.Source, tuple.SourcePort) == asked
}

// cutOff is the trail of a signed answer of which a trace shows but two bytes of the
// nonce, in hexadecimal, at a node that the request did not come by; nil where it may
// be of several.
func (b *book) cutOff(packet *wire.Packet) (found *Trail) {
	rest, ok := bytes.CutPrefix(packet.Payload, []byte(wire.AnswerWord))
	if !ok || len(rest) < 4 {
		return nil
	}
	for t := range b.trails {
		if !t.Flow.Protocol.IsDatagrams() || hex.EncodeToString(t.Flow.Nonce[:2]) != string(rest[:4]) {
			continue
		}
		if found != nil {
			return nil
		}
		found = t
	}
	return found
}

// begins says whether a payload, which may be cut off, begins with the nonce.
func begins(payload, nonce []byte) bool {
	n := min(len(payload), len(nonce))
	return bytes.Equal(payload[:n], nonce[:n])
}
