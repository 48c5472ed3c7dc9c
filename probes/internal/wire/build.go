package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	messages "golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Datagram is an IP packet to be built.
type Datagram struct {
	// Source and Destination are of one family; the ports are those of TCP, UDP, UDP-Lite and SCTP, and of
	// an echo request the identifier is the source's.
	Source, Destination netip.AddrPort
	// TTL is the time to live, or hop limit.
	TTL uint8
	// TOS is the type of service, or traffic class: DSCP and ECN.
	TOS uint8
	// ID is IPv4's identification.
	ID uint16
	// Label is the flow label of IPv6: 20 bits (RFC 6437).
	Label uint32
	// Sequence is a TCP connection's first number, or the tag of who asks for an association of SCTP, and Acknowledged what a segment of TCP with
	// ACK acknowledges.
	Sequence, Acknowledged uint32
	// Payload is what an echo request or a datagram carries.
	Payload []byte
}

// Build makes the first packet that a probe of a protocol sends, with all checksums: an
// echo request, a SYN, or a datagram.
func (d Datagram) Build(protocol Protocol) ([]byte, error) {
	source, destination := d.Source.Addr(), d.Destination.Addr()
	if source.Is4() != destination.Is4() || !source.IsValid() {
		return nil, fmt.Errorf("a packet from %s to %s: they are not of one family", source, destination)
	}
	var next uint8
	var transport []byte
	switch protocol {
	case ICMP:
		return d.buildEcho()
	case TCP:
		next, transport = unix.IPPROTO_TCP, d.Segment(SYN)
	case UDP, UDPLite: // that covers all that it sends, and says so as UDP says its length
		if next = unix.IPPROTO_UDP; protocol == UDPLite {
			next = unix.IPPROTO_UDPLITE
		}
		transport = d.datagram()
		sum := d.Checksum(next, transport)
		if sum == 0 {
			sum = 0xffff // zero is "none" (RFC 768), or nothing that is sent (RFC 3828)
		}
		binary.BigEndian.PutUint16(transport[6:], sum)
	default:
		return nil, fmt.Errorf("nobody builds packets of protocol %d", protocol)
	}
	return d.Carry(next, transport), nil
}

// Other makes a packet of a protocol that no probe speaks: eight bytes that stand for its
// header, and the payload.
func (d Datagram) Other(protocol uint8) ([]byte, error) {
	if d.Source.Addr().Is4() != d.Destination.Addr().Is4() || !d.Source.IsValid() {
		return nil, fmt.Errorf("a packet from %s to %s: they are not of one family", d.Source.Addr(), d.Destination.Addr())
	}
	const header = 8
	return d.Carry(protocol, append(make([]byte, header), d.Payload...)), nil
}

func (d Datagram) buildEcho() ([]byte, error) {
	echo := messages.Message{Type: ipv4.ICMPTypeEcho, Body: &messages.Echo{ID: int(d.Source.Port()), Seq: 1, Data: d.Payload}}
	next, pseudo := uint8(unix.IPPROTO_ICMP), []byte(nil)
	if d.Source.Addr().Is6() {
		echo.Type, next = ipv6.ICMPTypeEchoRequest, unix.IPPROTO_ICMPV6
		pseudo = messages.IPv6PseudoHeader(d.Source.Addr().AsSlice(), d.Destination.Addr().AsSlice())
	}
	message, err := echo.Marshal(pseudo)
	if err != nil {
		return nil, err
	}
	return d.Carry(next, message), nil
}

// Segment is a TCP header of RFC 9293 with flags, and its checksum; one with SYN has the maximum
// segment size that every Ethernet has.
func (d Datagram) Segment(flags byte) []byte {
	const header, option, window, mss, checksum = 20, 4, 64240, 1220, 16
	length := header
	if flags&SYN != 0 {
		length += option
	}
	b := make([]byte, length)
	binary.BigEndian.PutUint16(b, d.Source.Port())
	binary.BigEndian.PutUint16(b[2:], d.Destination.Port())
	binary.BigEndian.PutUint32(b[4:], d.Sequence)
	if flags&ACK != 0 {
		binary.BigEndian.PutUint32(b[8:], d.Acknowledged)
	}
	b[12], b[13] = byte(length/4<<4), flags
	binary.BigEndian.PutUint16(b[14:], window)
	if flags&SYN != 0 {
		b[header], b[header+1] = 2, option // the option's kind and length
		binary.BigEndian.PutUint16(b[header+2:], mss)
	}
	binary.BigEndian.PutUint16(b[checksum:], d.Checksum(unix.IPPROTO_TCP, b))
	return b
}

func (d Datagram) datagram() []byte {
	const header = 8
	b := append(make([]byte, header), d.Payload...)
	binary.BigEndian.PutUint16(b, d.Source.Port())
	binary.BigEndian.PutUint16(b[2:], d.Destination.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

// Carry puts the network header before what it carries.
func (d Datagram) Carry(next uint8, carried []byte) []byte {
	if d.Source.Addr().Is4() {
		const header = 20
		b := make([]byte, header, header+len(carried))
		b[0], b[1], b[6], b[8], b[9] = 4<<4|header/4, d.TOS, 0x40, d.TTL, next // not to be fragmented
		binary.BigEndian.PutUint16(b[2:], uint16(header+len(carried)))
		binary.BigEndian.PutUint16(b[4:], d.ID)
		copy(b[12:], d.Source.Addr().AsSlice())
		copy(b[16:], d.Destination.Addr().AsSlice())
		binary.BigEndian.PutUint16(b[10:], Checksum(b))
		return append(b, carried...)
	}
	const header = 40
	b := make([]byte, header, header+len(carried))
	binary.BigEndian.PutUint32(b, 6<<28|uint32(d.TOS)<<20|d.Label&0xfffff)
	b[6], b[7] = next, d.TTL
	binary.BigEndian.PutUint16(b[4:], uint16(len(carried)))
	copy(b[8:], d.Source.Addr().AsSlice())
	copy(b[24:], d.Destination.Addr().AsSlice())
	return append(b, carried...)
}

// Checksum is that of an upper header and what it carries, with the pseudo header before it (RFC 9293, RFC 8200).
func (d Datagram) Checksum(next uint8, transport []byte) uint16 {
	pseudo := append(d.Source.Addr().AsSlice(), d.Destination.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(transport)))
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(next))
	return Checksum(append(pseudo, transport...))
}

// Network16 is a number in the order of the network, as the addresses of packet sockets have it.
func Network16(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// Checksum is the Internet checksum (RFC 1071) of bytes whose own field is zero.
func Checksum(b []byte) uint16 {
	var sum uint32
	for len(b) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
