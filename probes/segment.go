package probes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/net/bpf"
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
	s, err := polled(fd)
	if err != nil {
		return err
	}
	defer s.close()
	own := a.source
	own.port = 0 // a raw socket has none
	if _, err := own.bind(fd, a.addr.Is6()); err != nil {
		return a.refusedLocally(err)
	}
	if err := hearPort(fd, a.port, a.addr.Is6()); err != nil {
		return err
	}
	a.begin()
	if err := unix.Connect(fd, a.rawAddr()); err != nil {
		return a.refusedLocally(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	d := a.segmentFrom(netip.AddrPortFrom(addrPortOf(name).Addr(), a.port))
	if err := unix.Send(fd, d.Segment(byte(a.probe.flags)), 0); err != nil {
		return a.refusedLocally(err)
	}
	return a.await(s, func() (done bool, err error) { return a.rawAnswer(s, a.takeSegment, a.quotesSegment) })
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

// rawAddr is the address that is asked, of a raw socket: it has no port.
func (a *asking) rawAddr() unix.Sockaddr {
	to := a.sockaddr()
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		to.Port = 0
	case *unix.SockaddrInet6:
		to.Port = 0
	}
	return to
}

// hearPort has a raw socket hear what comes to a port of TCP's alone: a namespace's raw sockets
// get all segments. Of IPv4 they have the IP header.
func hearPort(fd int, port uint16, v6 bool) error {
	const destination = 2 // RFC 9293
	program := []bpf.Instruction{bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: destination, Size: 2}}
	if v6 {
		program = []bpf.Instruction{bpf.LoadAbsolute{Off: destination, Size: 2}}
	}
	program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipFalse: 1}, bpf.RetConstant{Val: 1 << 16}, bpf.RetConstant{Val: 0})
	return hearOnly(fd, program)
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
	const least, header4, flagsAt = 20, 20, 13
	if a.addr.Is4() {
		if len(packet) < header4 {
			return 0, false
		}
		packet = packet[min(int(packet[0]&15)*4, len(packet)):]
	}
	if len(packet) < least || binary.BigEndian.Uint16(packet) != a.probe.port || binary.BigEndian.Uint16(packet[2:]) != a.port {
		return 0, false
	}
	return TCPFlags(packet[flagsAt]), true
}

// quotesSegment says whether what an ICMP error quotes, from its TCP header on, is the probe's:
// raw sockets hear of all segments to an address.
func (a *asking) quotesSegment(quoted []byte) bool {
	return len(quoted) < 2 || binary.BigEndian.Uint16(quoted) == a.port
}
