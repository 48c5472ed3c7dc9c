package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Packet is what is read of an IP packet, from its network header on. A tap has all
// of it; a trace has both headers and 12 bytes of what follows. About is the packet
// that an ICMP error quotes.
type Packet struct {
	Source, Destination netip.Addr
	Protocol            byte
	TTL                 byte
	TOS                 byte   // IPv4's type of service, IPv6's traffic class
	Length              int    // of the whole packet, as the IP header has it
	Fragment            bool   // a later fragment: there is no transport header
	Piece               Piece  // of a fragment, the first too
	Extended            bool   // IPv6 extension headers are before the transport header, besides a fragment's
	ID                  uint16 // of the IPv4 header
	Stamp               uint32 // TCP's timestamp option (RFC 7323); 0 without

	SourcePort, DestinationPort uint16 // TCP, UDP, UDP-Lite and SCTP; an echo's identifier and sequence number
	Flags                       byte   // TCP
	Seq, Ack                    uint32 // TCP; of SCTP the tag that an INIT chunk names, and that of the header
	Chunk                       byte   // SCTP: the type of the first one
	Type, Code                  byte   // ICMP
	MTU                         uint32 // of "fragmentation needed" and "packet too big"
	Payload                     []byte // after an ICMP, UDP or UDP-Lite header; of other protocols, after eight bytes
	About                       *Packet
	ICMP, ICMPv6                bool // ICMP is true of both
}

// The flags of TCP (RFC 9293, 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Parse reads a packet; false for what is no IP packet, or cut off before its
// transport header.
func Parse(data []byte) (*Packet, bool) {
	if len(data) < 1 {
		return nil, false
	}
	p := &Packet{}
	var rest []byte
	switch data[0] >> 4 {
	case 4:
		header := int(data[0]&15) * 4
		if len(data) < 20 || header < 20 || len(data) < header {
			return nil, false
		}
		p.Source, p.Destination = netip.AddrFrom4([4]byte(data[12:16])), netip.AddrFrom4([4]byte(data[16:20]))
		p.Protocol, p.TTL, p.TOS, p.Length = data[9], data[8], data[1], int(binary.BigEndian.Uint16(data[2:]))
		p.ID = binary.BigEndian.Uint16(data[4:])
		p.fragmented(data, header)
		rest = data[header:]
	case 6:
		if len(data) < 40 {
			return nil, false
		}
		p.Source, p.Destination = netip.AddrFrom16([16]byte(data[8:24])), netip.AddrFrom16([16]byte(data[24:40]))
		p.Protocol, p.TTL, p.TOS, p.Length = data[6], data[7], data[0]<<4|data[1]>>4, 40+int(binary.BigEndian.Uint16(data[4:]))
		rest = p.skipExtensions(data[40:])
	default:
		return nil, false
	}
	if p.Fragment {
		return p, true
	}
	return p, p.parseTransport(rest)
}

func (p *Packet) parseTransport(data []byte) bool {
	if len(data) < 8 {
		return false
	}
	switch p.Protocol {
	case unix.IPPROTO_TCP:
		if len(data) < 14 {
			// A quoted packet (RFC 792) may end after eight bytes.
			p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
			p.Seq, p.Flags = binary.BigEndian.Uint32(data[4:]), SYN
			return true
		}
		p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
		p.Seq, p.Ack, p.Flags = binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:]), data[13]
		p.Stamp = stampOf(data)
	case unix.IPPROTO_SCTP:
		p.parseChunk(data)
	case unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE:
		p.SourcePort, p.DestinationPort, p.Payload = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:]), data[8:]
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		p.ICMP, p.ICMPv6 = true, p.Protocol == unix.IPPROTO_ICMPV6
		p.Type, p.Code = data[0], data[1]
		if p.IsEcho() {
			p.SourcePort, p.DestinationPort = binary.BigEndian.Uint16(data[4:]), binary.BigEndian.Uint16(data[6:])
			p.Payload = data[8:]
			return true
		}
		if p.IsError() {
			p.MTU = binary.BigEndian.Uint32(data[4:])
			if !p.ICMPv6 {
				p.MTU &= 0xffff
			}
			p.About, _ = Parse(data[8:])
			return true
		}
		if p.IsTimestamp() {
			id := binary.BigEndian.Uint16(data[4:]) // the reply's is the same
			p.SourcePort, p.DestinationPort, p.Payload = id, id, data[8:]
		}
	default:
		p.Payload = data[8:] // after whatever header it has: see Datagram.Other
	}
	return true
}

// stampOf is the value of the timestamp option of a TCP segment, as far as it is there.
func stampOf(data []byte) uint32 {
	const header, timestamp, length = 20, 8, 10
	options := data[min(header, len(data)):min(int(data[12]>>4)*4, len(data))]
	for len(options) >= 2 {
		size := int(options[1])
		switch {
		case options[0] == 0:
			return 0
		case options[0] == 1: // nothing, one byte long
			size = 1
		case size < 2 || size > len(options):
			return 0
		case options[0] == timestamp && size == length:
			return binary.BigEndian.Uint32(options[2:])
		}
		options = options[size:]
	}
	return 0
}

// Identity is the same for a packet and its copies on their whole way, and another for
// one that was sent again: IPv4's identification, else TCP's timestamp, of which what opens a
// connection and what follows in the same millisecond are told by their flags; 0 is unknown.
func (p *Packet) Identity() uint64 {
	switch {
	case p.IsPiece():
		return uint64(p.Piece.ID)
	case p.ID != 0:
		return uint64(p.ID)
	case p.Stamp == 0:
		return 0
	}
	return uint64(p.Stamp)<<16 | uint64(p.Flags&(FIN|SYN|RST|PSH|ACK)) // others are the network's
}

// IsDatagram says whether it is one of UDP or UDP-Lite.
func (p *Packet) IsDatagram() bool {
	return p.Protocol == unix.IPPROTO_UDP || p.Protocol == unix.IPPROTO_UDPLITE
}

// IsEcho says whether it is an echo request or a reply to one.
func (p *Packet) IsEcho() bool { return p.IsEchoRequest() || p.IsEchoReply() }

// IsEchoRequest says whether it is an echo request of ICMP or ICMPv6.
func (p *Packet) IsEchoRequest() bool {
	return p.ICMP && (!p.ICMPv6 && p.Type == 8 || p.ICMPv6 && p.Type == 128)
}

// IsEchoReply says whether it is an echo reply of ICMP or ICMPv6.
func (p *Packet) IsEchoReply() bool {
	return p.ICMP && (!p.ICMPv6 && p.Type == 0 || p.ICMPv6 && p.Type == 129)
}

// IsTimestamp says whether it is an ICMP timestamp request, or the reply to one (RFC 792).
func (p *Packet) IsTimestamp() bool {
	return p.ICMP && !p.ICMPv6 && (p.Type == Timestamp || p.Type == TimestampReply)
}

// IsError says whether it is an ICMP error, which quotes the packet it is about.
func (p *Packet) IsError() bool {
	if p.ICMPv6 {
		return p.Type >= 1 && p.Type <= 4 // RFC 4443, 2.1
	}
	return p.ICMP && (p.Type == 3 || p.Type == 11 || p.Type == 12) // RFC 792
}

// SaysNoHost says whether it is an error of who could not reach the host.
func (p *Packet) SaysNoHost() bool {
	if p.ICMPv6 {
		return p.Type == 1 && p.Code == 3
	}
	return p.ICMP && p.Type == 3 && p.Code == 1
}

// SaysExpired says whether it is an error of who had the packet when its TTL expired
// (RFC 792, RFC 4443: in transit).
func (p *Packet) SaysExpired() bool {
	if p.ICMPv6 {
		return p.Type == 3 && p.Code == 0
	}
	return p.ICMP && p.Type == 11 && p.Code == 0
}

// SaysTooLarge says whether it is an error of who could not hand a packet on for its size
// (RFC 792, RFC 4443).
func (p *Packet) SaysTooLarge() bool {
	if p.ICMPv6 {
		return p.Type == 2
	}
	return p.ICMP && p.Type == 3 && p.Code == 4
}

// Tuple is the flow that a packet belongs to at one place: translation changes it
// from place to place.
type Tuple struct {
	Protocol                    byte
	Source, Destination         netip.Addr
	SourcePort, DestinationPort uint16
}

// Tuple is the flow that the packet belongs to where it is.
func (p *Packet) Tuple() Tuple {
	return Tuple{p.Protocol, p.Source, p.Destination, p.SourcePort, p.DestinationPort}
}

// Reverse is the flow of what comes back.
func (t Tuple) Reverse() Tuple {
	return Tuple{t.Protocol, t.Destination, t.Source, t.DestinationPort, t.SourcePort}
}

// String is the packet in a few words: tcp 10.0.1.1:40000 > 10.0.2.1:22 SYN.
func (p *Packet) String() string {
	switch {
	case p.Fragment:
		return fmt.Sprintf("%s from byte %d on", p.ends("fragment ", false), p.Piece.Offset)
	case p.Protocol == unix.IPPROTO_TCP:
		return p.ends("tcp ", true) + " " + FlagNames(p.Flags&(FIN|SYN|RST|ACK))
	case p.Protocol == unix.IPPROTO_UDP:
		return p.ends("udp ", true)
	case p.Protocol == unix.IPPROTO_UDPLITE:
		return p.ends("udplite ", true)
	case p.Protocol == unix.IPPROTO_SCTP:
		return p.ends("sctp ", true) + " " + chunkName(p.Chunk)
	case p.IsEchoRequest():
		return p.ends("echo request ", false)
	case p.IsEchoReply():
		return p.ends("echo reply ", false)
	case p.ICMPv6:
		return fmt.Sprintf("icmpv6 %d/%d %s > %s", p.Type, p.Code, p.Source, p.Destination)
	case p.ICMP:
		return fmt.Sprintf("icmp %d/%d %s > %s", p.Type, p.Code, p.Source, p.Destination)
	}
	return fmt.Sprintf("protocol %d %s > %s", p.Protocol, p.Source, p.Destination)
}

// ends are the addresses after a word. It is called for each packet that is seen.
func (p *Packet) ends(word string, ports bool) string {
	text := append(make([]byte, 0, 112), word...) // two addresses and ports of IPv6 take 97
	for i, end := range []netip.AddrPort{netip.AddrPortFrom(p.Source, p.SourcePort), netip.AddrPortFrom(p.Destination, p.DestinationPort)} {
		if i > 0 {
			text = append(text, " > "...)
		}
		if ports {
			text = end.AppendTo(text)
		} else {
			text = end.Addr().AppendTo(text)
		}
	}
	return string(text)
}

// FlagNames are flags of TCP in words: SYN,ACK.
func FlagNames(flags byte) string {
	var names []string
	for _, f := range []struct {
		bit  byte
		name string
	}{{SYN, "SYN"}, {FIN, "FIN"}, {RST, "RST"}, {PSH, "PSH"}, {ACK, "ACK"}, {URG, "URG"}, {ECE, "ECE"}, {CWR, "CWR"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}
