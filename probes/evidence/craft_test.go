package evidence

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The addresses of hand-made packets.
var (
	client4, server4 = netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.2.1")
	client6, server6 = netip.MustParseAddr("fd00:1::1"), netip.MustParseAddr("fd00:2::1")
)

// ip puts an IP header without options before a payload.
func ip(src, dst netip.Addr, protocol byte, payload []byte) []byte {
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

// withOptions makes room for so many bytes of IPv4 options (RFC 791, 3.1).
func withOptions(packet []byte, size int) []byte {
	out := append([]byte(nil), packet[:20]...)
	out[0] = 0x45 + byte(size/4)
	binary.BigEndian.PutUint16(out[2:], uint16(len(packet)+size))
	for range size {
		out = append(out, 1) // no operation
	}
	return append(out, packet[20:]...)
}

// fragmentAt makes an IPv4 packet a later fragment.
func fragmentAt(packet []byte, offset uint16) []byte {
	out := append([]byte(nil), packet...)
	binary.BigEndian.PutUint16(out[6:], offset)
	return out
}

func udp(src, dst netip.AddrPort, payload []byte) []byte {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h, src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(payload)))
	return ip(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, append(h, payload...))
}

func tcp(src, dst netip.AddrPort, flags byte, seq, ack uint32) []byte {
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h, src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	h[12], h[13] = 5<<4, flags
	return ip(src.Addr(), dst.Addr(), unix.IPPROTO_TCP, h)
}

// icmp is a message of ICMP or ICMPv6, as the addresses are; word is what follows
// type, code and checksum.
func icmp(src, dst netip.Addr, kind, code byte, word uint32, payload []byte) []byte {
	h := make([]byte, 8)
	h[0], h[1] = kind, code
	binary.BigEndian.PutUint32(h[4:], word)
	protocol := byte(unix.IPPROTO_ICMP)
	if src.Is6() {
		protocol = unix.IPPROTO_ICMPV6
	}
	return ip(src, dst, protocol, append(h, payload...))
}

// echo is an echo request, or a reply, with an identifier and a sequence number.
func echo(src, dst netip.Addr, reply bool, id, seq uint16, payload []byte) []byte {
	kind := map[bool]byte{false: 8, true: 0}[reply]
	if src.Is6() {
		kind = map[bool]byte{false: 128, true: 129}[reply]
	}
	return icmp(src, dst, kind, 0, uint32(id)<<16|uint32(seq), payload)
}

// unreachable is an ICMP error about a packet: port unreachable.
func unreachable(from netip.Addr, about []byte) []byte {
	p, _ := parseIP(about)
	if from.Is6() {
		return icmp(from, p.src, 1, 4, 0, about)
	}
	return icmp(from, p.src, 3, 3, 0, about)
}

// parsed is a packet that is known to be one.
func parsed(data []byte) *packet {
	p, ok := parseIP(data)
	if !ok {
		panic("no packet")
	}
	return p
}

func ap(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }
