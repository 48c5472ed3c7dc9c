package watch

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// mark is what all probes under a watch have in common and no other packet has: what
// the kernel compares, for good. An echo request's payload begins with it; the
// initial sequence number of a connection does (it survives every translation, and
// the answers acknowledge it); a datagram says that it is a probe's.
type mark struct {
	echo [wire.MarkSize]byte
	isn  uint32 // its upper isnBits
}

// The initial sequence numbers of a watch have their upper isnBits in common. Each
// connection has isnRoom numbers for what it sends.
const (
	isnBits  = 12
	isnRoom  = 1 << 10
	isnMask  = uint32(1<<32 - 1<<(32-isnBits))
	isnSlots = 1 << (32 - isnBits) / isnRoom
	isnTop   = 1 << 31 // no ASCII text, and no datagram's length below 32 KiB, has it there
	// AnswerRoom is where the numbers begin that a crafted segment acknowledges.
	AnswerRoom = isnRoom / 2
	// The first of them are of connections that are followed.
	isnFollowed = isnSlots / 2
)

// ours is this process's mark. Labs have namespaces of their own, so one does for all.
var ours = sync.OnceValue(newMark)

func newMark() (m mark) {
	binary.NativeEndian.PutUint64(m.echo[:], rand.Uint64())
	m.isn = (isnTop | rand.Uint32()) & isnMask
	return m
}

// nonce is a new probe's: see wire.Mark.
func (m mark) nonce(protocol wire.Protocol) [wire.NonceSize]byte {
	return wire.Mark(m.echo).Nonce(protocol)
}

// Nonce is that of a probe that no watch follows and that Cover is to hear of.
func Nonce() [wire.NonceSize]byte { return ours().nonce(wire.ICMP) }

// Sequence is the first sequence number of a connection that no watch follows and that
// Cover is to hear of.
func Sequence() uint32 { return ours().isnOf(isnFollowed + rand.IntN(isnSlots-isnFollowed)) }

// isnOf is the first number of a slot.
func (m mark) isnOf(slot int) uint32 { return m.isn | uint32(slot)*isnRoom }

// isOfSegment says whether what a trace shows of a transport header, and no protocol's number,
// begins as a segment of TCP with the mark. That an answer's acknowledgement has it is no proof:
// a datagram has what it says there.
func (m mark) isOfSegment(transport []byte) bool {
	const offset, flags, least = 12, 13, 5 // RFC 9293
	if binary.BigEndian.Uint32(transport[tcpSeq:])&isnMask == m.isn {
		return true
	}
	return binary.BigEndian.Uint32(transport[tcpAck:])&isnMask == m.isn && transport[offset]>>4 >= least && transport[flags]&wire.ACK != 0
}

// probeWords are the first eight bytes of what probes send by UDP, and of signed answers
// to it: "nstest? " and "nstest! ", which differ in wordsDiffer.
var (
	probeWords  = []byte("nstest! ")
	wordsDiffer = []byte{0, 0, 0, 0, 0, 0, '?' ^ '!', 0}
)

const (
	tcpSeq, tcpAck               = 4, 8  // offsets in the header (RFC 9293)
	sctpTag, sctpInitTag         = 4, 16 // and of SCTP (RFC 9260, 3.1 and 3.3.2)
	icmpUnreachable              = 3     // RFC 792
	icmpExceeded                 = 11
	icmpEcho, icmpEchoReply      = 8, 0
	icmp6Echo, icmp6EchoReply    = 128, 129
	ipv6Header                   = 40
	icmpParameter                = 12
	icmp6FirstError              = 1 // RFC 4443
	icmp6LastError               = 4
	icmp6Solicit, icmp6Advertise = 135, 136 // RFC 4861
)

// matches are the conditions of what is traced: echoes and connections with the
// mark, replies to ICMP timestamps with as much of it as they send back, datagrams that
// say so or have one of the set of ports, ICMP errors (what they quote a rule cannot
// compare), and all neighbour discovery: it is rare, and which neighbour a probe will
// need is not known before.
func (m mark) matches() [][]expr.Any {
	isn := binary.BigEndian.AppendUint32(nil, m.isn)
	mask := binary.BigEndian.AppendUint32(nil, isnMask)
	tcp := protocolIs(unix.IPPROTO_TCP)
	icmp, icmp6 := protocolIs(unix.IPPROTO_ICMP), protocolIs(unix.IPPROTO_ICMPV6)
	return append(append([][]expr.Any{
		join(payloadIs(8, m.echo[:], nil)),
		join(tcp, payloadIs(tcpSeq, isn, mask)),
		join(tcp, payloadIs(tcpAck, isn, mask)),
	}, datagramMatches(unix.IPPROTO_UDP)...), [][]expr.Any{
		join(icmp, payloadIs(0, []byte{icmpUnreachable & icmpExceeded}, []byte{^byte(icmpUnreachable ^ icmpExceeded)})),
		join(icmp, payloadIs(0, []byte{icmpParameter}, nil)),
		join(icmp, payloadIs(0, []byte{wire.TimestampReply}, nil), payloadIs(8, m.echo[:4], nil)),
		join(icmp6, typeBetween(icmp6FirstError, icmp6LastError)),
		join(icmp6, typeBetween(icmp6Solicit, icmp6Advertise)),
	}...)
}

// datagramMatches are the conditions of datagrams that say that they are a probe's, or have one of
// the set of ports, by UDP or UDP-Lite.
func datagramMatches(protocol byte) [][]expr.Any {
	same := make([]byte, len(probeWords))
	for i := range same {
		same[i] = ^wordsDiffer[i]
	}
	is := protocolIs(protocol)
	return [][]expr.Any{
		join(is, payloadIs(8, and(probeWords, same), same)),
		join(is, inPorts(0)),
		join(is, inPorts(2)),
	}
}

func join(parts ...[]expr.Any) (all []expr.Any) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func and(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range out {
		out[i] = a[i] & b[i]
	}
	return out
}

func protocolIs(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
	}
}

// etherIs matches what frames of an Ethernet type carry.
func etherIs(kind uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, kind)},
	}
}

func load(offset, size int) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: uint32(offset), Len: uint32(size)}
}

// payloadIs compares bytes of the transport header and what follows it; of those in
// the mask, where there is one.
func payloadIs(offset int, data, mask []byte) []expr.Any {
	all := []expr.Any{load(offset, len(data))}
	if mask != nil {
		all = append(all, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(len(data)), Mask: mask, Xor: make([]byte, len(data))})
	}
	return append(all, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data})
}

func typeBetween(first, last byte) []expr.Any {
	return []expr.Any{
		load(0, 1),
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{first}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{last}},
	}
}

// inPorts looks a port up in the set.
func inPorts(offset int) []expr.Any {
	return []expr.Any{load(offset, 2), &expr.Lookup{SourceRegister: 1, SetName: portsSet, SetID: portsSetID}}
}
