package watch

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/probes/internal/wire/wiretest"
)

var (
	ip, withOptions, fragmentAt, udp, tcp = wiretest.IP, wiretest.WithOptions, wiretest.FragmentAt, wiretest.UDP, wiretest.TCP
	echo, unreachable, ap                 = wiretest.Echo, wiretest.Unreachable, wiretest.AP
	client4, server4, client6, server6    = wiretest.Client4, wiretest.Server4, wiretest.Client6, wiretest.Server6
)

var dawn = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

var commented = evidence.Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7, Text: "udp dport 53 drop", Comment: "no dns"}

// sctp is a packet of SCTP with the tag of who it is for, and a chunk that names one.
func sctp(from, to netip.AddrPort, chunk byte, tag, names uint32) []byte {
	d := wire.Datagram{Source: from, Destination: to, Sequence: names}
	packet := d.Init()
	packet[12] = chunk
	binary.BigEndian.PutUint32(packet[4:], tag)
	if chunk == wire.Abort {
		packet = packet[:16]
	}
	return d.Carry(132, packet)
}

// testNonce is a nonce of one byte.
func testNonce(b byte) (nonce [wire.NonceSize]byte) {
	for i := range nonce {
		nonce[i] = b
	}
	return nonce
}

// ask is a datagram of a probe, and signed the answer to it.
func ask(nonce [wire.NonceSize]byte) []byte { return append([]byte(wire.RequestWord), nonce[:]...) }

func signed(nonce [wire.NonceSize]byte) []byte {
	return []byte(wire.AnswerWord + hex.EncodeToString(nonce[:]) + " server\n")
}
