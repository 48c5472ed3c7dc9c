package probes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// TCPFlags are the flags of a TCP segment (RFC 9293, 3.1), one bit each.
type TCPFlags uint8

// The flags. None of them is the segment of a "null scan", FIN|PSH|URG that of an "xmas scan".
const (
	FIN TCPFlags = wire.FIN
	SYN TCPFlags = wire.SYN
	RST TCPFlags = wire.RST
	PSH TCPFlags = wire.PSH
	ACK TCPFlags = wire.ACK
	URG TCPFlags = wire.URG
	ECE TCPFlags = wire.ECE
	CWR TCPFlags = wire.CWR
)

// String is SYN,ACK, in the order of nft; none without any.
func (f TCPFlags) String() string {
	if f == 0 {
		return "none"
	}
	return wire.FlagNames(byte(f))
}

// Segment asks with one TCP segment to a port, which has these flags and is of no connection: for
// filters that go by flags, and know of no connections. What comes of it is TCP's own (RFC 9293,
// 3.10.7), as Linux has it:
//
//   - SYN alone is answered by a listener, and refused by a port that nobody has; the kernel that
//     asked resets what was answered.
//   - What has ACK, and not RST, is refused: by a reset, at any port. BeRefusedBy says that it
//     arrived.
//   - Anything else without RST is refused by a port that nobody has; a listener says nothing.
//   - RST is never answered.
//
// That it may not arrive is BeIsolatedFrom's to say; what is of no connection is a policy's to
// stop all the same. Conntrack takes a segment with ACK alone for a new connection (unless
// net.netfilter.nf_conntrack_tcp_loose=0), and FIN or none for invalid.
func Segment(port uint16, flags TCPFlags) Probe {
	return Probe{kind: segmentKind, port: port, flags: flags}
}

var segmentKind = &kind{
	name:     "segment",
	ports:    true,
	protocol: wire.TCP,
	ask:      (*asking).segment,
	framed:   segmentFramed,
	silence:  silentAfterLeaving,
	unserved: true,
	crafted:  true,
}

// segment asks by a raw socket, from a port that a socket of TCP's holds meanwhile: nobody else's.
func (a *asking) segment() error {
	holder, fd, err := a.segmentSockets()
	if err != nil {
		return a.refusedLocally(err)
	}
	defer unix.Close(holder)
	return a.overPort(fd, func(source netip.AddrPort) []byte {
		return a.segmentFrom(source).Segment(byte(a.probe.flags))
	}, a.takeSegment)
}

// segmentSockets are one that holds the port, and one that sends and hears.
func (a *asking) segmentSockets() (holder, raw int, err error) {
	err = a.from.Do(func() error {
		if holder, err = a.openBound(); err != nil {
			return err
		}
		if raw, err = a.source.open(a.addr.Is6(), unix.SOCK_RAW, unix.IPPROTO_TCP); err != nil {
			return errors.Join(fmt.Errorf("open raw socket: %w", err), unix.Close(holder))
		}
		return nil
	})
	return holder, raw, err
}

// segmentFrom is the segment, with numbers by which it is known again where somebody is to.
func (a *asking) segmentFrom(source netip.AddrPort) wire.Datagram {
	sequence, known := a.isn()
	if !known {
		sequence = rand.Uint32()
	}
	return wire.Datagram{
		Source: source, Destination: netip.AddrPortFrom(a.addr, a.probe.port),
		Sequence: sequence, Acknowledged: sequence + watch.AnswerRoom,
	}
}

func segmentFramed(a *asking, d wire.Datagram) ([]byte, error) {
	numbers := a.segmentFrom(d.Source)
	d.Sequence, d.Acknowledged = numbers.Sequence, numbers.Acknowledged
	return d.Carry(unix.IPPROTO_TCP, d.Segment(byte(a.probe.flags))), nil
}

// takeSegment ends the probe with the flags of a segment that comes back; false where a packet is
// none.
func (a *asking) takeSegment(packet []byte) bool {
	flags, comes := a.comesBack(packet)
	switch {
	case !comes:
		return false
	case flags&RST != 0:
		a.end(Refused, a.addr)
		a.result.Errno = unix.ECONNREFUSED
	default:
		a.end(Answered, a.addr)
	}
	return true
}

// comesBack says whether a packet, with its IPv4 header, is a segment from the port that was asked
// to the one that asked.
func (a *asking) comesBack(packet []byte) (flags TCPFlags, comes bool) {
	const least, flagsAt = 20, 13
	segment, comes := a.portBack(packet, least)
	if !comes {
		return 0, false
	}
	return TCPFlags(segment[flagsAt]), true
}
