package rules

import (
	"slices"
	"strings"

	"github.com/google/nftables/expr"
)

// Trait is what of a packet any program at the asker may choose; several of them, a bit
// each. A program needs no right for most: a port is bound, the others are options of a
// socket, or how much and what it says.
type Trait uint

const (
	// SourcePort is TCP's, UDP's, UDP-Lite's or SCTP's.
	SourcePort Trait = 1 << iota
	// Length is the packet's, or its parts'.
	Length
	// TOS is the traffic class: DSCP and ECN.
	TOS
	// FlowLabel is that of IPv6.
	FlowLabel
	// TTL is the hop limit.
	TTL
	// Headers are options of IP and TCP, and extension headers; a header's length with them.
	Headers
	// Window is how much a TCP socket says that it takes.
	Window
	// Fragments are the bits of IPv4 about fragments.
	Fragments
	// Content is what is said: all beyond the upper header.
	Content
	// Numbers are those that each packet has anew: IP's identifier, checksums, sequence
	// numbers.
	Numbers
	// ICMPID is ICMP's identifier, with the sequence number.
	ICMPID
	// Priority is the socket's (SO_PRIORITY).
	Priority
	// User is who sends: a user, a group, a control group.
	User
	// Congestion are the flags of TCP about ECN. A kernel that asks for ECN (net.ipv4.tcp_ecn, a route's
	// features, a socket's TCP_CONGESTION) repeats a SYN that nobody answers without
	// (tcp_ecn_fallback), after a second.
	Congestion
)

var traitWords = []string{
	"the source port", "the packet's length", "the traffic class (DSCP, ECN)", "the flow label", "the TTL", "options or extension headers",
	"the TCP window", "the bits about fragments",
	"what is said (the payload)", "a number that each packet has anew", "the ICMP identifier or sequence number", "the socket's priority", "the user that sends",
	"the ECN flags of TCP",
}

// String names them: "the TTL and the source port".
func (t Trait) String() string {
	var names []string
	for i, word := range traitWords {
		if t&(1<<i) != 0 {
			names = append(names, word)
		}
	}
	return strings.Join(names, " and ")
}

// payloadTrait is what a byte of a header is.
func (e *evaluation) payloadTrait(base expr.PayloadBase, at int) Trait {
	const inner = 3 // NFT_PAYLOAD_INNER_HEADER
	switch {
	case base == expr.PayloadBaseNetworkHeader && e.packet.family() == 4:
		return traitIn(traits4, at, Headers)
	case base == expr.PayloadBaseNetworkHeader && e.packet.family() == 6:
		return traitIn(traits6, at, Headers)
	case base == expr.PayloadBaseTransportHeader && e.packet.Protocol != nil:
		switch *e.packet.Protocol {
		case protoTCP:
			return traitIn(traitsTCP, at, Headers|Content)
		case protoUDP, protoUDPLite, 132:
			return traitIn(traitsUDP, at, Content)
		case protoICMP, protoICMPv6:
			return traitIn(traitsICMP, at, Content)
		}
	case base == inner:
		return Content
	}
	return 0
}

func traitIn(header []Trait, at int, beyond Trait) Trait {
	if at < len(header) {
		return header[at]
	}
	return beyond
}

// The traits of headers, byte by byte (RFC 791, 8200, 9293, 768, 792).
var (
	traits4    = append([]Trait{Headers, TOS, Length, Length, Numbers, Numbers, Fragments, Fragments, TTL, 0, Numbers, Numbers}, make([]Trait, 8)...)
	traits6    = append([]Trait{TOS, TOS | FlowLabel, FlowLabel, FlowLabel, Length, Length, Headers, TTL}, make([]Trait, 32)...)
	traitsTCP  = []Trait{SourcePort, SourcePort, 0, 0, Numbers, Numbers, Numbers, Numbers, 0, 0, 0, 0, Headers, Congestion, Window, Window, Numbers, Numbers, 0, 0}
	traitsUDP  = []Trait{SourcePort, SourcePort, 0, 0, Length, Length, Numbers, Numbers}
	traitsICMP = []Trait{0, 0, Numbers, Numbers, ICMPID, ICMPID, ICMPID, ICMPID}
)

// congestion are ECE and CWR (RFC 3168).
const congestion = 0xc0

// maskedTrait is what is left of a byte under a mask: IPv6 has half of the traffic class and
// a part of the flow label in one, and TCP has ECN's flags beside its others.
func maskedTrait(t Trait, mask byte) Trait {
	const class, label = 0xf0, 0x0f
	if t == Congestion && mask&congestion == 0 {
		return 0
	}
	if t != TOS|FlowLabel {
		return t
	}
	if mask&class == 0 {
		t &^= TOS
	}
	if mask&label == 0 {
		t &^= FlowLabel
	}
	return t
}

// metaTrait is what a key of meta loads. The user of a socket is known, and its
// priority kept, only where it sends.
func (e *evaluation) metaTrait(key expr.MetaKey) Trait {
	switch key {
	case expr.MetaKeyLEN:
		return Length
	case expr.MetaKeySKUID, expr.MetaKeySKGID, expr.MetaKeyCGROUP:
		if !e.packet.Foreign {
			return User
		}
	case expr.MetaKeyPRIORITY:
		if e.packet.Foreign { // a router makes it of the traffic class
			return TOS
		}
		return Priority
	}
	return 0
}

// matchTraits are what matches of iptables look at that are known by name alone.
var matchTraits = map[string]Trait{
	"length": Length, "ttl": TTL, "hl": TTL, "tos": TOS, "dscp": TOS, "ecn": TOS | Headers, "string": Content, "u32": Content, "bpf": Content,
	"ipv6header": Headers, "hbh": Headers, "dst": Headers, "rt": Headers, "frag": Headers, "ah": Headers, "esp": Headers, "tcpmss": Headers, "osf": Headers,
	"ipv4options": Headers, "owner": User, "cgroup": User,
}

// matchTrait is that of a match, which may be about groups; a user is known only where it sends.
func matchTrait(name string, groups bool, p *Packet) Trait {
	fixed := p.Fixed &^ User
	if name == "tos" || name == "ecn" { // they ask for ECN, which a DSCP leaves open
		fixed &^= TOS
	}
	t := matchTraits[name] &^ fixed
	if p.Foreign || name == "owner" && !groups && p.Fixed&User != 0 {
		t &^= User
	}
	return t
}

// free is the packet with all that a program may choose not known. It is one of a new
// connection, as long as it is tracked.
func (p Packet) free() Packet {
	p.isFree = true
	if p.Fixed&SourcePort == 0 && p.Protocol != nil && slices.Contains([]uint8{protoTCP, protoUDP, protoUDPLite, 132}, *p.Protocol) {
		p.SrcPort = nil
	}
	p.Length, p.GID = nil, nil
	if p.Fixed&TTL == 0 {
		p.TTL = nil
	}
	if p.Fixed&TOS == 0 {
		p.TOS = nil
	}
	if p.Fixed&User == 0 {
		p.UID = nil
	}
	if p.State == nil {
		p.State = new(uint32(expr.CtStateBitNEW))
	}
	return p
}

// otherTrait is what expressions look at that are known by type alone.
func (p *Packet) otherTrait(x any) Trait {
	switch x := x.(type) {
	case *expr.Exthdr:
		if x.SourceRegister == 0 { // it does not write
			return Headers
		}
	case *expr.Socket:
		if x.Key == expr.SocketKeyCgroupv2 && !p.Foreign {
			return User
		}
	}
	return 0
}

// opaqueTraits are those of expressions that are not known in full.
var opaqueTraits = map[string]Trait{"exthdr": Headers, "payload": Content, "inner": Content, "osf": Headers | TTL}
