package watch

import "github.com/nstest/nstest/probes/internal/wire"

// findSegment is the trail of a segment of TCP, known by its numbers, and what it is to it.
func (b *book) findSegment(p *point, packet *wire.Packet) (*Trail, role) {
	t := b.ofSequence(wire.TCP, packet.Seq)
	switch {
	case t == nil:
	case t.sends(packet):
		b.note(t, place{p, packet.Tuple()})
		return t, request
	case t.Flow.Crafted && packet.Flags&wire.RST != 0: // it begins where that acknowledges
		return t, refusal
	}
	t = b.ofSequence(wire.TCP, packet.Ack)
	if t == nil || packet.Flags&wire.ACK == 0 {
		if t = b.byTuple[place{p, packet.Tuple().Reverse()}]; t == nil || t.Flow.Protocol != wire.TCP {
			return nil, 0
		}
	}
	if packet.Flags&wire.RST != 0 {
		return t, refusal
	}
	return t, answer
}

// sends says whether a segment with a sequence number of the trail's is from who asks, and not
// one that comes back.
func (t *Trail) sends(packet *wire.Packet) bool {
	if t.Flow.Crafted {
		return packet.Seq-t.isn < AnswerRoom
	}
	return packet.Flags&(wire.SYN|wire.ACK) != wire.SYN|wire.ACK
}

// ofSequence is the connection that a sequence number is of, by a protocol.
func (b *book) ofSequence(protocol wire.Protocol, seq uint32) *Trail {
	slot := seq &^ isnMask / isnRoom
	if slot >= isnFollowed {
		return nil
	}
	t := b.bySlot[slot]
	if t == nil || seq-t.isn >= isnRoom || t.Flow.Protocol != protocol {
		return nil
	}
	return t
}
