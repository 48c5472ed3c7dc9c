package probes

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// SCTP asks a port for an association, by an INIT chunk (RFC 9260, 5.1), and goes no further: who
// answers it keeps nothing of it. The asker's kernel needs no SCTP for that. What comes of it:
//
//   - A listener answers by INIT ACK, whether a kernel's or a program's with a raw socket; an asker's
//     kernel that has SCTP aborts that.
//   - A port that nobody has is refused, by ABORT.
//   - So is what comes to a node whose kernel has no SCTP, by an ICMP error about the protocol.
//
// Rules see a new association: nft's "sctp dport 38412 drop", "-p sctp --dport 38412" of iptables,
// or "ct state new". Nothing signs: Reach is watched.
func SCTP(port uint16) Probe { return Probe{kind: sctpKind, port: port} }

var sctpKind = &kind{
	name:     "sctp",
	ports:    true,
	protocol: wire.SCTP,
	ask:      (*asking).sctp,
	framed:   sctpFramed,
	silence:  silentAfterLeaving,
	unserved: true,
}

// sctp asks by a raw socket, from a port that no earlier probe had.
func (a *asking) sctp() error {
	a.port = a.ownPort()
	var fd int
	err := a.from.Do(func() (err error) {
		fd, err = a.source.open(a.addr.Is6(), unix.SOCK_RAW, unix.IPPROTO_SCTP)
		return err
	})
	if err != nil {
		return fmt.Errorf("open raw socket: %w", err)
	}
	init := a.initFrom(netip.AddrPort{})
	return a.overPort(fd, func(source netip.AddrPort) []byte {
		init.Source = source
		return init.Init()
	}, func(packet []byte) bool { return a.takeChunk(packet, init.Sequence) })
}

// initFrom is what asks, with a tag by which it is known again where somebody is to.
func (a *asking) initFrom(source netip.AddrPort) wire.Datagram {
	tag, known := a.isn()
	if !known {
		tag = rand.Uint32() | 1 // it is never 0
	}
	return wire.Datagram{Source: source, Destination: netip.AddrPortFrom(a.addr, a.probe.port), Sequence: tag}
}

func sctpFramed(a *asking, d wire.Datagram) ([]byte, error) {
	d.Sequence = a.initFrom(d.Source).Sequence
	return d.Carry(unix.IPPROTO_SCTP, d.Init()), nil
}

// takeChunk ends the probe with a chunk that comes back for a tag; false where a packet has none.
func (a *asking) takeChunk(packet []byte, tag uint32) bool {
	const least = 16 // the common header, and a chunk's own
	upper, comes := a.portBack(packet, least)
	if !comes {
		return false
	}
	switch chunk, its := wire.Chunk(upper); {
	case its != tag:
		return false
	case chunk == wire.InitAck:
		a.end(Answered, a.addr)
	case chunk == wire.Abort:
		a.end(Refused, a.addr)
		a.result.Errno = unix.ECONNREFUSED
	default:
		return false
	}
	return true
}
