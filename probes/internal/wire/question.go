package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String is 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Question asks all on a link who has an address: an ARP request (RFC 826), or a neighbour
// solicitation (RFC 4861, 4.3).
type Question struct {
	// MAC and Source are the asker's. A Source that is not valid, or unspecified, is none: then it is
	// the question of who wants to have the address (RFC 5227, RFC 4862).
	MAC    MAC
	Source netip.Addr
	// Target is the address that is asked for.
	Target netip.Addr
}

// Build makes the packet, from its network header on, with its Ethernet type and the MAC that the
// frame is for.
func (q Question) Build() (ethernet uint16, to MAC, packet []byte) {
	if q.Target.Is4() {
		return unix.ETH_P_ARP, MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, q.arp()
	}
	group, packet := q.solicitation()
	return unix.ETH_P_IPV6, MAC(append([]byte{0x33, 0x33}, group[12:]...)), packet // RFC 2464, 7
}

func (q Question) arp() []byte {
	const request = 1
	source := q.Source
	if !source.IsValid() {
		source = netip.IPv4Unspecified()
	}
	packet := []byte{0, 1, 8, 0, byte(len(q.MAC)), 4, 0, request} // of Ethernet and IPv4
	packet = append(append(packet, q.MAC[:]...), source.AsSlice()...)
	return append(append(packet, make([]byte, len(q.MAC))...), q.Target.AsSlice()...)
}

// solicitation is for the group of all whose address ends alike (RFC 4291, 2.7.1).
func (q Question) solicitation() (group [16]byte, packet []byte) {
	const kind, checksum, hops, tail = 135, 2, 255, 13
	source := q.Source
	if !source.IsValid() {
		source = netip.IPv6Unspecified()
	}
	target := q.Target.As16()
	group = [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff}
	copy(group[tail:], target[tail:])
	message := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	if !source.IsUnspecified() {
		message = append(append(message, 1, 1), q.MAC[:]...) // its own MAC; an option's length is in units of eight bytes
	}
	d := Datagram{Source: netip.AddrPortFrom(source, 0), Destination: netip.AddrPortFrom(netip.AddrFrom16(group), 0), TTL: hops}
	binary.BigEndian.PutUint16(message[checksum:], d.Checksum(unix.IPPROTO_ICMPV6, message))
	return group, d.Carry(unix.IPPROTO_ICMPV6, message)
}
