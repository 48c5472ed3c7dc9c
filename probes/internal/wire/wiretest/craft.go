// Package wiretest makes packets by hand, byte by byte, for tests.
package wiretest

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The addresses of hand-made packets.
var (
	Client4, Server4 = netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.2.1")
	Client6, Server6 = netip.MustParseAddr("fd00:1::1"), netip.MustParseAddr("fd00:2::1")
)

// IP puts an IP header without options before a payload.
func IP(src, dst netip.Addr, protocol byte, payload []byte) []byte {
	if src.Is6() {
		h := make([]byte, 40)
		h[0], h[6], h[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
		copy(h[8:], src.AsSlice())
		copy(h[24:], dst.AsSlice())
		return append(h, payload...)
	}
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	return append(h, payload...)
}

// WithOptions makes room for so many bytes of IPv4 options (RFC 791, 3.1).
func WithOptions(packet []byte, size int) []byte {
	out := append([]byte(nil), packet[:20]...)
	out[0] = 0x45 + byte(size/4)
	binary.BigEndian.PutUint16(out[2:], uint16(len(packet)+size))
	for range size {
		out = append(out, 1) // no operation
	}
	return append(out, packet[20:]...)
}

// FragmentAt makes an IPv4 packet a later fragment.
func FragmentAt(packet []byte, offset uint16) []byte {
	out := append([]byte(nil), packet...)
	binary.BigEndian.PutUint16(out[6:], offset)
	return out
}

// UDP is a datagram.
func UDP(src, dst netip.AddrPort, payload []byte) []byte {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h, src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(payload)))
	return IP(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, append(h, payload...))
}

// TCP is a segment without a payload.
func TCP(src, dst netip.AddrPort, flags byte, seq, ack uint32) []byte {
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h, src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	h[12], h[13] = 5<<4, flags
	return IP(src.Addr(), dst.Addr(), unix.IPPROTO_TCP, h)
}

// ICMP is a message of ICMP or ICMPv6, as the addresses are; word is what follows
// type, code and checksum.
func ICMP(src, dst netip.Addr, kind, code byte, word uint32, payload []byte) []byte {
	h := make([]byte, 8)
	h[0], h[1] = kind, code
	binary.BigEndian.PutUint32(h[4:], word)
	protocol := byte(unix.IPPROTO_ICMP)
	if src.Is6() {
		protocol = unix.IPPROTO_ICMPV6
	}
	return IP(src, dst, protocol, append(h, payload...))
}

// Echo is an echo request, or a reply, with an identifier and a sequence number.
func Echo(src, dst netip.Addr, reply bool, id, seq uint16, payload []byte) []byte {
	kind := map[bool]byte{false: 8, true: 0}[reply]
	if src.Is6() {
		kind = map[bool]byte{false: 128, true: 129}[reply]
	}
	return ICMP(src, dst, kind, 0, uint32(id)<<16|uint32(seq), payload)
}

// Unreachable is an ICMP error about a packet: port unreachable.
func Unreachable(from netip.Addr, about []byte) []byte {
	if from.Is6() {
		return ICMP(from, netip.AddrFrom16([16]byte(about[8:24])), 1, 4, 0, about)
	}
	return ICMP(from, netip.AddrFrom4([4]byte(about[12:16])), 3, 3, 0, about)
}

// AP is an address with a port.
func AP(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }
