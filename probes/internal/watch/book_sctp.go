package watch

import "github.com/nstest/nstest/probes/internal/wire"

// findAssociation is the trail of a packet of SCTP, known by the tag that its INIT has named, which
// all that comes back has in its header.
func (b *book) findAssociation(p *point, packet *wire.Packet) (*Trail, role) {
	if packet.Chunk == wire.Init {
		t := b.ofTag(packet.Seq)
		if t == nil {
			return nil, 0
		}
		b.note(t, place{p, packet.Tuple()})
		return t, request
	}
	t := b.ofTag(packet.Ack)
	switch {
	case t == nil:
		return nil, 0
	case b.byTuple[place{p, packet.Tuple()}] == t:
		return t, request // the asker's kernel aborts what it has not asked for, with the tag that this had
	case packet.Chunk == wire.Abort:
		return t, refusal
	}
	return t, answer
}

// ofTag is the trail whose INIT has named a tag.
func (b *book) ofTag(tag uint32) *Trail {
	t := b.ofSequence(wire.SCTP, tag)
	if t == nil || t.isn != tag {
		return nil
	}
	return t
}
