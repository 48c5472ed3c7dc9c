package evidence

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// packet is what evidence reads of an IP packet, from its network header on. A
// tap has all of it; a trace has both headers and 12 bytes of what follows.
type packet struct {
	src, dst netip.Addr
	protocol byte
	ttl      byte
	length   int  // of the whole packet, as the IP header has it
	fragment bool // a later fragment: there is no transport header

	sport, dport     uint16 // TCP and UDP; an echo's identifier and sequence number
	flags            byte   // TCP
	seq, ack         uint32 // TCP
	icmpType, code   byte
	mtu              uint32 // of "fragmentation needed" and "packet too big"
	payload          []byte // after an ICMP or UDP header
	aboutErr         *packet
	isICMP, isICMPv6 bool
}

const (
	tcpFIN = 1 << iota
	tcpSYN
	tcpRST
	_
	tcpACK
)

// parseIP reads a packet; false for what is no IP packet, or cut off before its
// transport header.
func parseIP(data []byte) (*packet, bool) {
	if len(data) < 1 {
		return nil, false
	}
	p := &packet{}
	var rest []byte
	switch data[0] >> 4 {
	case 4:
		header := int(data[0]&15) * 4
		if len(data) < 20 || header < 20 || len(data) < header {
			return nil, false
		}
		p.src, p.dst = netip.AddrFrom4([4]byte(data[12:16])), netip.AddrFrom4([4]byte(data[16:20]))
		p.protocol, p.ttl, p.length = data[9], data[8], int(binary.BigEndian.Uint16(data[2:]))
		p.fragment = binary.BigEndian.Uint16(data[6:])&0x1fff != 0
		rest = data[header:]
	case 6:
		if len(data) < 40 {
			return nil, false
		}
		p.src, p.dst = netip.AddrFrom16([16]byte(data[8:24])), netip.AddrFrom16([16]byte(data[24:40]))
		p.protocol, p.ttl, p.length = data[6], data[7], 40+int(binary.BigEndian.Uint16(data[4:]))
		rest = data[40:]
		p.protocol, rest = skipExtensions(p.protocol, rest)
	default:
		return nil, false
	}
	if p.fragment {
		return p, true
	}
	return p, p.parseTransport(rest)
}

// skipExtensions steps over IPv6 extension headers (RFC 8200, 4).
func skipExtensions(next byte, rest []byte) (byte, []byte) {
	for len(rest) >= 8 {
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			length := 8 + 8*int(rest[1])
			next, rest = rest[0], rest[min(length, len(rest)):]
		default:
			return next, rest
		}
	}
	return next, rest
}

func (p *packet) parseTransport(data []byte) bool {
	if len(data) < 8 {
		return false
	}
	switch p.protocol {
	case unix.IPPROTO_TCP:
		if len(data) < 14 {
			// A quoted packet (RFC 792) may end after eight bytes.
			p.sport, p.dport = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
			p.seq, p.flags = binary.BigEndian.Uint32(data[4:]), tcpSYN
			return true
		}
		p.sport, p.dport = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
		p.seq, p.ack, p.flags = binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:]), data[13]
	case unix.IPPROTO_UDP:
		p.sport, p.dport, p.payload = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:]), data[8:]
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		p.isICMP, p.isICMPv6 = true, p.protocol == unix.IPPROTO_ICMPV6
		p.icmpType, p.code = data[0], data[1]
		if p.isEcho() {
			p.sport, p.dport = binary.BigEndian.Uint16(data[4:]), binary.BigEndian.Uint16(data[6:])
			p.payload = data[8:]
			return true
		}
		if p.isError() {
			p.mtu = binary.BigEndian.Uint32(data[4:])
			if !p.isICMPv6 {
				p.mtu &= 0xffff
			}
			p.aboutErr, _ = parseIP(data[8:])
		}
	default:
		return false
	}
	return true
}

func (p *packet) isEcho() bool { return p.isEchoRequest() || p.isEchoReply() }

func (p *packet) isEchoRequest() bool {
	return p.isICMP && p.icmpType == map[bool]byte{false: 8, true: 128}[p.isICMPv6]
}

func (p *packet) isEchoReply() bool {
	return p.isICMP && p.icmpType == map[bool]byte{false: 0, true: 129}[p.isICMPv6]
}

// isError says whether it is an ICMP error, which quotes the packet it is about.
func (p *packet) isError() bool {
	if p.isICMPv6 {
		return p.icmpType >= 1 && p.icmpType <= 4 // RFC 4443, 2.1
	}
	return p.isICMP && (p.icmpType == 3 || p.icmpType == 11 || p.icmpType == 12) // RFC 792
}

// saysNoHost says whether it is an error of who could not reach the host.
func (p *packet) saysNoHost() bool {
	if p.isICMPv6 {
		return p.icmpType == 1 && p.code == 3
	}
	return p.isICMP && p.icmpType == 3 && p.code == 1
}

// tuple is the flow that a packet belongs to at one place: translation changes it
// from place to place.
type tuple struct {
	protocol     byte
	src, dst     netip.Addr
	sport, dport uint16
}

func (p *packet) tuple() tuple { return tuple{p.protocol, p.src, p.dst, p.sport, p.dport} }

func (t tuple) reverse() tuple { return tuple{t.protocol, t.dst, t.src, t.dport, t.sport} }

// String is the packet in a few words: tcp 10.0.1.1:40000 > 10.0.2.1:22 SYN.
func (p *packet) String() string {
	switch {
	case p.protocol == unix.IPPROTO_TCP:
		return fmt.Sprintf("tcp %s > %s %s", netip.AddrPortFrom(p.src, p.sport), netip.AddrPortFrom(p.dst, p.dport), p.flagNames())
	case p.protocol == unix.IPPROTO_UDP:
		return fmt.Sprintf("udp %s > %s", netip.AddrPortFrom(p.src, p.sport), netip.AddrPortFrom(p.dst, p.dport))
	case p.isEchoRequest():
		return fmt.Sprintf("echo request %s > %s", p.src, p.dst)
	case p.isEchoReply():
		return fmt.Sprintf("echo reply %s > %s", p.src, p.dst)
	case p.isICMPv6:
		return fmt.Sprintf("icmpv6 %d/%d %s > %s", p.icmpType, p.code, p.src, p.dst)
	case p.isICMP:
		return fmt.Sprintf("icmp %d/%d %s > %s", p.icmpType, p.code, p.src, p.dst)
	}
	return fmt.Sprintf("protocol %d %s > %s", p.protocol, p.src, p.dst)
}

func (p *packet) flagNames() string {
	var names []string
	for _, f := range []struct {
		bit  byte
		name string
	}{{tcpSYN, "SYN"}, {tcpFIN, "FIN"}, {tcpRST, "RST"}, {tcpACK, "ACK"}} {
		if p.flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}
