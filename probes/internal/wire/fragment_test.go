package wire

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// piece6 is a fragment of IPv6 of what a datagram carries: the header of RFC 8200, 4.5 before it.
func piece6(next byte, offset int, more bool, carried []byte) []byte {
	header := make([]byte, 8)
	header[0] = next
	bits := uint16(offset)
	if more {
		bits |= 1
	}
	binary.BigEndian.PutUint16(header[2:], bits)
	binary.BigEndian.PutUint32(header[4:], 77)
	return ip(client6, server6, unix.IPPROTO_FRAGMENT, append(header, carried...))
}

func TestPieces(t *testing.T) {
	t.Parallel()
	datagram := udp(ap(client4, 1000), ap(server4, 53), []byte("hello"))
	behind := append([]byte{unix.IPPROTO_FRAGMENT, 0, 0, 0, 0, 0, 0, 0}, piece6(unix.IPPROTO_UDP, 0, true, datagram[20:])[40:]...)
	for name, c := range map[string]struct {
		data     []byte
		want     Piece
		later    bool
		extended bool
		text     string
	}{
		"a whole packet":       {datagram, Piece{}, false, false, "udp 10.0.1.1:1000 > 10.0.2.1:53"},
		"the first":            {fragmentAt(datagram, 0x2000), Piece{Size: 13, More: true, Head: 20}, false, false, "udp 10.0.1.1:1000 > 10.0.2.1:53"},
		"the last":             {fragmentAt(datagram, 185), Piece{Offset: 1480, Size: 13, Head: 20}, true, false, "fragment 10.0.1.1 > 10.0.2.1 from byte 1480 on"},
		"one in the middle":    {fragmentAt(datagram, 0x2000|185), Piece{Offset: 1480, Size: 13, More: true, Head: 20}, true, false, "fragment 10.0.1.1 > 10.0.2.1 from byte 1480 on"},
		"the first of v6":      {piece6(17, 0, true, datagram[20:]), Piece{ID: 77, Size: 13, More: true, Head: 40}, false, false, "udp [fd00:1::1]:1000 > [fd00:2::1]:53"},
		"the last of v6":       {piece6(17, 1448, false, datagram[20:]), Piece{ID: 77, Offset: 1448, Size: 13, Head: 40}, true, false, "fragment fd00:1::1 > fd00:2::1 from byte 1448 on"},
		"all of v6":            {piece6(17, 0, false, datagram[20:]), Piece{}, false, false, "udp [fd00:1::1]:1000 > [fd00:2::1]:53"},
		"behind other headers": {ip(client6, server6, unix.IPPROTO_HOPOPTS, behind), Piece{ID: 77, Size: 13, More: true, Head: 48}, false, true, "udp [fd00:1::1]:1000 > [fd00:2::1]:53"},
	} {
		p, ok := Parse(c.data)
		if !ok || p.Piece != c.want || p.Fragment != c.later || p.Extended != c.extended || p.String() != c.text || p.IsPiece() != (c.want != Piece{}) {
			t.Errorf("%s: %v, %+v, later %v, extended %v: %s", name, ok, p.Piece, p.Fragment, p.Extended, p)
		}
	}
}
