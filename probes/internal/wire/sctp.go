package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Types of chunks of SCTP (RFC 9260, 3.2).
const (
	Init    = 1
	InitAck = 2
	Abort   = 6
)

// What is where in a packet of SCTP (RFC 9260, 3.1 and 3.3.2): the common header, and its first chunk.
const (
	sctpTag      = 4 // the verification tag: the one that the other end has named
	sctpChecksum = 8
	sctpChunk    = 12
	sctpInitTag  = 16 // of INIT and INIT ACK: the tag that what comes back is to have
	sctpHeader   = 12
	initSize     = 20
)

// Init is a packet of SCTP that asks for an association: the common header, and an INIT chunk that
// names Sequence as its tag.
func (d Datagram) Init() []byte {
	const window, streams = 65535, 1
	b := make([]byte, sctpHeader+initSize)
	binary.BigEndian.PutUint16(b, d.Source.Port())
	binary.BigEndian.PutUint16(b[2:], d.Destination.Port())
	b[sctpChunk] = Init
	binary.BigEndian.PutUint16(b[sctpChunk+2:], initSize)
	binary.BigEndian.PutUint32(b[sctpInitTag:], d.Sequence)
	binary.BigEndian.PutUint32(b[20:], window)
	binary.BigEndian.PutUint16(b[24:], streams) // out
	binary.BigEndian.PutUint16(b[26:], streams) // in
	binary.BigEndian.PutUint32(b[28:], d.Sequence)
	sumSCTP(b)
	return b
}

// sumSCTP puts the checksum into a packet of SCTP (RFC 9260, appendix A), of which the field may
// have anything.
func sumSCTP(packet []byte) {
	clear(packet[sctpChecksum:sctpChunk])
	binary.LittleEndian.PutUint32(packet[sctpChecksum:], crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
}

// parseChunk reads the header of SCTP and of the first chunk, as far as they are there: a quoted
// packet (RFC 792) may end after the verification tag, of which an INIT has none.
func (p *Packet) parseChunk(data []byte) {
	p.SourcePort, p.DestinationPort, p.Payload = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:]), data[8:]
	p.Ack = binary.BigEndian.Uint32(data[sctpTag:])
	if len(data) > sctpChunk {
		p.Chunk = data[sctpChunk]
	}
	if len(data) >= sctpInitTag+4 && (p.Chunk == Init || p.Chunk == InitAck) {
		p.Seq = binary.BigEndian.Uint32(data[sctpInitTag:])
	}
}

// Chunk is the type of the first chunk of a packet of SCTP, and the tag in its header; the packet has
// both.
func Chunk(packet []byte) (kind byte, tag uint32) {
	return packet[sctpChunk], binary.BigEndian.Uint32(packet[sctpTag:])
}

func chunkName(kind byte) string {
	switch kind {
	case Init:
		return "INIT"
	case InitAck:
		return "INIT ACK"
	case Abort:
		return "ABORT"
	}
	return fmt.Sprintf("chunk %d", kind)
}
