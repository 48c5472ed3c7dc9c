package policy_test

import (
	"encoding/binary"
	"net/netip"
)

// header is a packet, as it stands behind the Ethernet header.
func header(src, dst netip.Addr, protocol uint8, upper []byte) []byte {
	if src.Is6() {
		b := make([]byte, 40)
		b[0], b[6], b[7] = 6<<4, protocol, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(upper)))
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
		return append(b, upper...)
	}
	b := make([]byte, 20)
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(upper)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	sumUp(b)
	return append(b, upper...)
}

// withTTL is a packet with another TTL.
func withTTL(b []byte, ttl byte) []byte {
	if b[0]>>4 == 6 {
		b[7] = ttl
		return b
	}
	b[8] = ttl
	sumUp(b[:20])
	return b
}

// sumUp gives IPv4's header its checksum.
func sumUp(b []byte) {
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^sumOf(b))
}

// sumOf is the sum of the Internet's checksum (RFC 1071).
func sumOf(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
