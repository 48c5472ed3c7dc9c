package probes

import (
	"encoding/binary"
	"fmt"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Protocol asks with an IP packet of a protocol that is none of ICMP, TCP and UDP, by its
// number (47 is GRE). Its content means nothing: who has the protocol drops it unseen, and a
// kernel that has not says so. It is for checks of isolation.
func Protocol(number uint8) Probe { return Probe{kind: protocolKind, upper: number} }

var protocolKind = &kind{
	name:     "protocol",
	protocol: wire.Other,
	ask:      (*asking).rawIP,
	silence:  silentAfterLeaving,
	unserved: true,
}

// timestamp asks with an ICMP timestamp request (RFC 792), to see whether it arrives.
func timestamp() Probe { return Probe{kind: timestampKind} }

var timestampKind = &kind{
	name:     "icmp timestamp",
	protocol: wire.ICMP,
	ask:      (*asking).rawIP,
	silence:  silentAfterLeaving,
	unserved: true,
}

// nobodysProtocol is for experiments (RFC 3692): no kernel has it.
const nobodysProtocol = 253

const rawHeader = 8 // bytes before the nonce

// isPlain says whether a number is one that Protocol asks with.
func isPlain(number uint8) bool {
	switch number {
	case 0, unix.IPPROTO_ICMP, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMPV6, unix.IPPROTO_RAW:
		return false
	}
	return true
}

// extends says whether a number is an extension header's in IPv6 (RFC 8200), and no protocol's.
func extends(number uint8) bool {
	switch number {
	case unix.IPPROTO_ROUTING, unix.IPPROTO_FRAGMENT, unix.IPPROTO_DSTOPTS, unix.IPPROTO_NONE, unix.IPPROTO_AH, unix.IPPROTO_MH:
		return true
	}
	return false
}

func (p Probe) isTimestamp() bool { return p.kind.protocol == wire.ICMP }

// rawProtocol is the number in the IP header.
func (p Probe) rawProtocol() int {
	if p.isTimestamp() {
		return unix.IPPROTO_ICMP
	}
	return int(p.upper)
}

// rawIP asks by a raw socket.
func (a *asking) rawIP() error {
	var fd int
	err := a.from.Do(func() (err error) {
		fd, err = a.source.open(a.addr.Is6(), unix.SOCK_RAW, a.probe.rawProtocol())
		return err
	})
	if err != nil {
		return fmt.Errorf("open raw socket: %w", err)
	}
	s, err := polled(fd)
	if err != nil {
		return err
	}
	defer s.close()
	own := a.source
	own.port = 0
	if _, err := own.bind(fd, a.addr.Is6()); err != nil {
		return a.refusedLocally(err)
	}
	packet := a.rawPacket()
	to := a.sockaddr()
	a.begin()
	if err := unix.Connect(fd, to); err != nil {
		return a.refusedLocally(err)
	}
	if err := unix.Send(fd, packet, 0); err != nil {
		return a.refusedLocally(err)
	}
	replied := func(received []byte) bool { return a.takeTimestamp(received, packet) }
	return a.await(s, func() (done bool, err error) { return a.rawAnswer(s, replied, nil) })
}

// rawPacket is what follows the IP header: eight bytes that mean something to who has the
// protocol, the nonce, and zeros.
func (a *asking) rawPacket() []byte {
	packet := make([]byte, rawHeader+a.probe.payload())
	nonce := a.nonce()
	copy(packet[rawHeader:], nonce[:])
	if !a.probe.isTimestamp() {
		binary.BigEndian.PutUint16(packet[2:], a.probe.port) // of SCTP's and the like
		return packet
	}
	packet[0] = wire.Timestamp
	binary.BigEndian.PutUint16(packet[4:], freshOf(a.from, wire.ICMP, false).next())
	binary.BigEndian.PutUint16(packet[2:], wire.Checksum(packet))
	return packet
}

// rawAnswer reads until it takes a packet, which it gets with its IPv4 header, or finds an ICMP error
// that quotes the probe, or nothing more. Without quotes any error does.
func (a *asking) rawAnswer(s *socket, take, quotes func(packet []byte) bool) (done bool, err error) {
	var buf [128]byte
	for {
		n, _, err := unix.Recvfrom(s.fd, buf[:], unix.MSG_DONTWAIT)
		if err == nil {
			if take(buf[:n]) {
				return true, nil
			}
			continue
		}
		if q, ok := readQueue(s.fd); ok {
			if q.fatal() && (quotes == nil || quotes(q.packet)) {
				a.failed(q)
				return true, nil
			}
			continue
		}
		if err == unix.EAGAIN {
			return false, nil
		}
		if err != unix.EINTR && !isQueued(err) {
			return true, err
		}
	}
}

// takeTimestamp takes the reply to a timestamp, after which nobody has to wait; false where a packet
// is none. Nothing in it says whose it is, where several have the address.
func (a *asking) takeTimestamp(packet, sent []byte) bool {
	if !a.isTimestamp(packet, sent) {
		return false
	}
	if len(a.ownersOf(a.addr)) < 2 {
		a.end(Answered, a.addr)
	}
	return true
}

// isTimestamp says whether a packet, with its IPv4 header, is the reply to what was sent.
func (a *asking) isTimestamp(packet, sent []byte) bool {
	const least = 20
	if !a.probe.isTimestamp() || len(packet) < least {
		return false
	}
	packet = packet[min(int(packet[0]&15)*4, len(packet)):]
	return len(packet) >= rawHeader && packet[0] == wire.TimestampReply && string(packet[4:6]) == string(sent[4:6])
}
