package rules

import (
	"encoding/binary"
	"net/netip"
)

// Packet is what is known of a packet where rules meet it. The zero value of a field is
// "not known", and a rule that asks for it is answered Maybe. It is an IP packet that is
// whole (no fragment), untagged, and without IPv6 extension headers.
type Packet struct {
	// Family is 4 or 6; that of the addresses where it is 0.
	Family   int
	Src, Dst netip.Addr
	// Protocol is the upper one: 6 is TCP.
	Protocol *uint8
	// SrcPort and DstPort are TCP's, UDP's, UDP-Lite's or SCTP's.
	SrcPort, DstPort *uint16
	// Type and Code are ICMP's.
	Type, Code *uint8
	// Flags are TCP's, one bit each: 2 is SYN.
	Flags *uint8
	// TTL is the hop limit, TOS the traffic class.
	TTL, TOS *uint8
	// MostTTL is the highest TTL that any packet from who sent it can come with, after the
	// routers that it came by; 0 is not known.
	MostTTL uint8
	// Length is the whole packet's, from the IP header on, in bytes.
	Length *uint16
	// In and Out are the interfaces; at hooks that do not know one it is not asked for.
	In, Out Interface
	Mark    *uint32
	// State is conntrack's, a bit each as in expr.CtStateBitNEW: a first packet of a
	// connection that is tracked is new.
	State *uint32
	// UID and GID are of the socket that sent it. A packet that came from elsewhere has
	// no socket: then Foreign says so.
	UID, GID *uint32
	Foreign  bool
	// Hook is where it is, in nft's word, for rules in chains that others jump to;
	// "" is not known, and a base chain knows it.
	Hook string

	// Fixed are the traits that were chosen for good: what of them is known stays known. A
	// user is, and not its groups.
	Fixed Trait

	isFree bool // what a program may choose is not known
	// extended says that IPv6 extension headers come before the upper one, and next is the first.
	extended bool
	next     uint8
}

// Interface is a network interface. Without a name, or an index, that is not known.
type Interface struct {
	Name  string
	Index int
}

// Upper protocols (RFC 791, 8200 and those they refer to).
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoICMPv6  = 58
	protoUDPLite = 136
)

// family is 4, 6, or 0 for not known.
func (p *Packet) family() int {
	switch {
	case p.Family != 0:
		return p.Family
	case p.Src.Is4() || p.Dst.Is4():
		return 4
	case p.Src.Is6() || p.Dst.Is6():
		return 6
	}
	return 0
}

// is says whether the upper protocol is one of those.
func (p *Packet) is(protocols ...uint8) Answer {
	if p.Protocol == nil {
		return Maybe
	}
	for _, protocol := range protocols {
		if *p.Protocol == protocol {
			return Yes
		}
	}
	return No
}

// class is the traffic class. Who chooses a DSCP has not chosen the two bits of ECN with it.
func (p *Packet) class() bits {
	const dscp = 0xfc
	if p.TOS == nil || !p.isFree {
		return one8(p.TOS)
	}
	return bits{[]byte{*p.TOS & dscp}, []byte{dscp}}
}

// flags are TCP's. Those about ECN are the program's to choose.
func (p *Packet) flags() bits {
	if p.Flags == nil || !p.isFree || p.Fixed&Congestion != 0 {
		return one8(p.Flags)
	}
	return bits{[]byte{*p.Flags &^ congestion}, []byte{0xff &^ congestion}}
}

// network is the IP header; the length is what is there for sure, 0 without a family.
func (p *Packet) network() (header bits, sure int) {
	const v4, v6, icmpless = 20, 40, 6
	switch p.family() {
	case 4:
		header = unknownBits(v4)
		header.put(0, bits{[]byte{0x40}, []byte{0xf0}}) // options are possible
		header.put(1, p.class())
		header.put(2, net16(p.Length))
		if !p.isFree {
			header.put(icmpless, bits{[]byte{0, 0}, []byte{0x3f, 0xff}}) // no fragment
		}
		header.put(8, one8(p.TTL))
		header.put(9, one8(p.Protocol))
		header.put(12, address(p.Src, 4))
		header.put(16, address(p.Dst, 4))
		return header, v4
	case 6:
		header = unknownBits(v6)
		header.put(0, bits{[]byte{0x60}, []byte{0xf0}})
		if class := p.class(); class.known[0] != 0 {
			header.put(0, bits{[]byte{0x60 | class.value[0]>>4, class.value[0] << 4}, []byte{0xff, class.known[0] << 4}})
		}
		if p.Length != nil && *p.Length >= v6 {
			header.put(4, knownBits(binary.BigEndian.AppendUint16(nil, *p.Length-v6)...))
		}
		header.put(6, one8(p.Protocol))
		if p.extended {
			header.put(6, knownBits(p.next))
		}
		header.put(7, one8(p.TTL))
		header.put(8, address(p.Src, 16))
		header.put(24, address(p.Dst, 16))
		return header, v6
	}
	return unknownBits(0), 0
}

func address(a netip.Addr, size int) bits {
	if raw := a.AsSlice(); len(raw) == size {
		return knownBits(raw...)
	}
	return unknownBits(size)
}

// transport is the header above IP; the length is what is there for sure.
func (p *Packet) transport() (header bits, sure int) {
	if p.Protocol == nil {
		return unknownBits(0), 0
	}
	const tcp, udp, icmp, sctp = 20, 8, 8, 12
	switch *p.Protocol {
	case protoTCP:
		header = unknownBits(tcp)
		header.put(13, p.flags())
	case protoUDP, protoUDPLite:
		header = unknownBits(udp)
	case 132:
		header = unknownBits(sctp)
	case protoICMP, protoICMPv6:
		header = unknownBits(icmp)
		header.put(0, one8(p.Type))
		header.put(1, one8(p.Code))
		return header, icmp
	default:
		return unknownBits(0), 0
	}
	header.put(0, net16(p.SrcPort))
	header.put(2, net16(p.DstPort))
	return header, len(header.value)
}
