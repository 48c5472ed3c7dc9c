package probes

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// overPort asks by a raw socket, which it closes, of a protocol whose header begins with its ports,
// from the asking's. build makes what is sent from an address, with that header, and take ends the
// probe with what comes back; false where that is none.
func (a *asking) overPort(fd int, build func(source netip.AddrPort) []byte, take func(packet []byte) bool) error {
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
	if err := unix.Send(fd, build(netip.AddrPortFrom(addrPortOf(name).Addr(), a.port)), 0); err != nil {
		return a.refusedLocally(err)
	}
	return a.await(s, func() (done bool, err error) { return a.rawAnswer(s, take, a.quotesPort) })
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

// hearPort has a raw socket hear what comes to a port alone: a namespace's raw sockets get all of
// their protocol. Of IPv4 they have the IP header.
func hearPort(fd int, port uint16, v6 bool) error {
	const destination = 2 // RFC 9293, RFC 9260
	program := []bpf.Instruction{bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: destination, Size: 2}}
	if v6 {
		program = []bpf.Instruction{bpf.LoadAbsolute{Off: destination, Size: 2}}
	}
	program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipFalse: 1}, bpf.RetConstant{Val: 1 << 16}, bpf.RetConstant{Val: 0})
	return hearOnly(fd, program)
}

// portBack is the upper header of a packet, which has an IPv4 header before it, that comes from the
// port that was asked to the one that asked, and what follows; false where it is another's, or too
// short.
func (a *asking) portBack(packet []byte, least int) (upper []byte, comes bool) {
	const header4 = 20
	if a.addr.Is4() {
		if len(packet) < header4 {
			return nil, false
		}
		packet = packet[min(int(packet[0]&15)*4, len(packet)):]
	}
	if len(packet) < least || binary.BigEndian.Uint16(packet) != a.probe.port || binary.BigEndian.Uint16(packet[2:]) != a.port {
		return nil, false
	}
	return packet, true
}

// quotesPort says whether what an ICMP error quotes, from its upper header on, is the probe's:
// raw sockets hear of all that is sent to an address.
func (a *asking) quotesPort(quoted []byte) bool {
	return len(quoted) < 2 || binary.BigEndian.Uint16(quoted) == a.port
}
