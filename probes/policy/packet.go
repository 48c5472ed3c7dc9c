package policy

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Packet is one that was sent through the rules.
type Packet struct {
	// In is the interface where it came to the node, "" for one that the node sent; Out is the one that
	// it was to leave by, as far as the rules told.
	In, Out string
	// From is the node that sends such a packet by that interface, To the one that has the destination; "" where none does.
	From, To string
	// Source and Destination have port 0 where the protocol has none.
	Source, Destination netip.AddrPort
	// Protocol is the upper one by its number: 6 is TCP.
	Protocol uint8
	// Type and Code are ICMP's, Flags TCP's, a bit each: 2 is SYN.
	Type, Code, Flags uint8
	// State is what connection tracking was to take it for: new, established, related, invalid; "" where
	// no rule asks.
	State string
	// TTL is the one that it is sent with, IPv6's hop limit.
	TTL uint8
	// Short says that it ends before its upper header does.
	Short bool
	// Length is how long it is in bytes, from the IP header on, where that is more than what is sent without need; else 0.
	Length int

	at    point
	quote *Packet // what an ICMP error is about
}

// stateWords are nft's.
var stateWords = map[uint64]string{
	stateInvalid: "invalid", stateEstablished: "established", stateRelated: "related", stateNew: "new", stateUntracked: "untracked",
}

var flagLetters = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

// String is the packet in a line: "tcp 10.0.1.1:40000 > 10.0.2.1:22 SYN, in by lan, new".
func (p Packet) String() string {
	text := fmt.Sprintf("%s %s > %s%s", protocolWord(p.Protocol), endText(p.Source), endText(p.Destination), p.details())
	if p.In != "" {
		text += ", in by " + p.In
	} else {
		text += ", sent by the node"
	}
	if p.State != "" {
		text += ", " + p.State
	}
	if p.Short {
		text += ", cut short"
	}
	if p.Length > 0 {
		text += fmt.Sprintf(", %d bytes", p.Length)
	}
	if p.TTL != usualTTL {
		text += fmt.Sprintf(", TTL %d", p.TTL)
	}
	return text
}

func (p Packet) details() (text string) {
	switch p.Protocol {
	case protoTCP:
		for i, letter := range flagLetters {
			if p.Flags&(1<<i) != 0 {
				text += map[bool]string{true: " ", false: ","}[text == ""] + letter
			}
		}
	case protoICMP, protoICMPv6:
		text = fmt.Sprintf(" type %d code %d", p.Type, p.Code)
	}
	return text
}

func endText(e netip.AddrPort) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}

// Upper protocols (RFC 791 and 8200).
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoDCCP   = 33
	protoICMPv6 = 58
	protoSCTP   = 132
	protoLite   = 136 // UDP-Lite
)

func protocolWord(n uint8) string {
	if word := map[uint8]string{2: "igmp", 89: "ospf", 103: "pim", 112: "vrrp"}[n]; word != "" {
		return word
	}
	return rules.Port{Protocol: n}.String()
}

func hasPorts(protocol uint8) bool { return withPorts.has(small(uint64(protocol))) }

// packetOf is the packet that a point stands for.
func (m *model) packetOf(p point) Packet {
	made := Packet{
		Protocol: uint8(p[fieldProto].lo), Type: uint8(p[fieldType].lo), Code: uint8(p[fieldCode].lo), Flags: uint8(p[fieldFlags].lo),
		In: m.name(p[fieldIn]), Out: m.name(p[fieldOut]), Short: p[fieldHead].lo != headWhole, TTL: uint8(p[fieldTTL].lo + p.hops()), at: p,
	}
	var sport, dport uint16
	if hasPorts(made.Protocol) && p[fieldHead].lo != headNone {
		sport, dport = uint16(p[fieldSport].lo), uint16(p[fieldDport].lo)
	}
	made.Source = netip.AddrPortFrom(p[fieldSrc].addr(m.v6), sport)
	made.Destination = netip.AddrPortFrom(p[fieldDst].addr(m.v6), dport)
	if m.effects.Tracks {
		made.State = stateWords[p[fieldState].lo]
	}
	return made
}

// hops is how many TTLs it has lost on its way to the hook: who forwards takes one away before.
func (p *point) hops() uint64 {
	if p[fieldIn].lo != 0 && p[fieldOut].lo != 0 {
		return 1
	}
	return 0
}

func (m *model) name(index number) string {
	for _, l := range m.links {
		if uint64(l.Index) == index.lo {
			return l.Name
		}
	}
	return ""
}

// build makes it, with a number by which it is known again: IPv4's identification, or IPv6's flow label.
func (p *Packet) build(id uint32) []byte {
	var upper []byte
	switch {
	case p.quote != nil:
		const rest = 4
		upper = append([]byte{p.Type, p.Code, 0, 0}, make([]byte, rest)...)
		upper = append(upper, p.quote.build(id)...)
	default:
		upper = p.pad(p.upper())
	}
	d := wire.Datagram{Source: p.Source, Destination: p.Destination, TTL: p.TTL, ID: uint16(id), Label: id}
	p.sum(&d, upper)
	switch p.at[fieldHead].lo {
	case headNone:
		upper = nil
	case headPorts:
		const ports = 8
		upper = upper[:min(len(upper), ports)]
	}
	return d.Carry(p.Protocol, upper)
}

// upper is the header above IP, and what it carries.
func (p *Packet) upper() []byte {
	b := binary.BigEndian.AppendUint16(nil, p.Source.Port())
	b = binary.BigEndian.AppendUint16(b, p.Destination.Port())
	const body = 8
	switch p.Protocol {
	case protoTCP:
		const length, window = 20, 64240
		b = append(b, make([]byte, length-len(b))...)
		binary.BigEndian.PutUint32(b[4:], 1)
		b[12], b[13] = length/4<<4, p.Flags
		binary.BigEndian.PutUint16(b[14:], window)
		return b
	case protoUDP, protoLite:
		return append(b, 0, body*2, 0, 0, 'n', 's', 't', 'e', 's', 't', '.', '\n')
	case protoSCTP, protoDCCP:
		const length = 20
		return append(b, make([]byte, length-len(b))...)
	case protoICMP, protoICMPv6:
		n := uint16(p.at[fieldSport].lo)
		return []byte{p.Type, p.Code, 0, 0, byte(n >> 8), byte(n), 0, 1, 'n', 's', 't', 'e', 's', 't', '.', '\n'}
	}
	return make([]byte, body)
}

// sum puts the checksum into the upper header; a UDP datagram that is to be invalid has a wrong one.
func (p *Packet) sum(d *wire.Datagram, b []byte) {
	at := map[uint8]int{protoTCP: 16, protoUDP: 6, protoLite: 6, protoICMP: 2, protoICMPv6: 2}[p.Protocol]
	if at == 0 {
		return
	}
	sum := wire.Checksum(b)
	if p.Protocol != protoICMP { // which has no pseudo header
		sum = d.Checksum(p.Protocol, b)
	}
	if p.Protocol == protoUDP && p.State == "invalid" {
		sum ^= 0x5555
	}
	if p.Protocol == protoUDP && sum == 0 {
		sum = 0xffff // RFC 768: zero is "none"
	}
	binary.BigEndian.PutUint16(b[at:], sum)
}

// reverse is the packet that answers it.
func (p point) reverse() point {
	p[fieldSrc], p[fieldDst] = p[fieldDst], p[fieldSrc]
	if !icmp.has(p[fieldProto]) { // where a port stands for the identifier
		p[fieldSport], p[fieldDport] = p[fieldDport], p[fieldSport]
	}
	p[fieldIn], p[fieldOut] = p[fieldOut], p[fieldIn]
	for request, reply := range map[uint64]uint64{8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140} {
		switch p[fieldType] {
		case small(request):
			p[fieldType] = small(reply)
			return p
		case small(reply):
			p[fieldType] = small(request)
			return p
		}
	}
	return p
}
