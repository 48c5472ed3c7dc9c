package wire

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Piece is where a fragment is in the packet that it is of (RFC 791, 3.2; RFC 8200, 4.5). The zero
// Piece is a whole packet's.
type Piece struct {
	// ID is the same in all fragments of a packet.
	ID uint32
	// Offset is that of its first byte in what the packet carries, and Size how many bytes it has of
	// that.
	Offset, Size int
	// More is true of all but the last.
	More bool
	// Head is how many bytes the packet has before what it carries: of IPv6 without the header of the
	// fragment.
	Head int
}

// IsPiece says whether the packet is a fragment.
func (p *Packet) IsPiece() bool { return p.Piece != Piece{} }

// fragmented notes what the header of an IPv4 fragment says.
func (p *Packet) fragmented(data []byte, header int) {
	const more, units, unit = 0x2000, 0x1fff, 8
	bits := binary.BigEndian.Uint16(data[6:])
	if bits&(more|units) == 0 {
		return
	}
	p.Piece = Piece{
		ID: uint32(binary.BigEndian.Uint16(data[4:])), Offset: int(bits&units) * unit,
		Size: p.Length - header, More: bits&more != 0, Head: header,
	}
	p.Fragment = p.Piece.Offset > 0
}

// skipExtensions steps over the extension headers of IPv6 (RFC 8200, 4), and notes what that of a
// fragment says. What is behind it in a later one is no header.
func (p *Packet) skipExtensions(rest []byte) []byte {
	const fixed, least, units = 40, 8, 0xfff8
	for head := fixed; len(rest) >= least; {
		length := least
		switch p.Protocol {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			length += least * int(rest[1])
			p.Extended = true
		case unix.IPPROTO_FRAGMENT:
			bits := binary.BigEndian.Uint16(rest[2:])
			if bits&(units|1) != 0 { // else it is all of a packet (RFC 6946)
				p.Piece = Piece{ID: binary.BigEndian.Uint32(rest[4:]), Offset: int(bits & units), Size: p.Length - head - least, More: bits&1 != 0, Head: head}
			}
			if p.Protocol = rest[0]; p.Piece.Offset > 0 {
				p.Fragment = true
				return nil
			}
			rest = rest[least:]
			continue
		default:
			return rest
		}
		p.Protocol, rest = rest[0], rest[min(length, len(rest)):]
		head += length
	}
	return rest
}
