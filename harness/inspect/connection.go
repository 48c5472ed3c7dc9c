package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Connection is a TCP connection that was made: its handshake is complete as the
// namespace sees it. It may be closing.
type Connection struct {
	Local, Remote netip.AddrPort // IPv4 also where the socket is of both families; without a zone
	// Quiet is how long nothing was received but acknowledgements, since it was made: in
	// milliseconds, as coarse as the kernel's tick.
	Quiet time.Duration
	// Accepted is true where the local port is listened at: it is the end that was
	// connected to.
	Accepted bool
}

// made are the states that a socket is in when its handshake is over
// (net/tcp_states.h): ESTABLISHED, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE_WAIT,
// LAST_ACK, CLOSING.
const made = 1<<1 | 1<<4 | 1<<5 | 1<<6 | 1<<8 | 1<<9 | 1<<11

const (
	listen          = 10 // TCP_LISTEN
	diagRequestSize = 56 // struct inet_diag_req_v2
	diagMessageSize = 72 // struct inet_diag_msg
	diagInfo        = 2  // INET_DIAG_INFO: struct tcp_info
)

// Connected says whether the namespace has a connection with these ends, and how many bytes
// of it wait to be read. The calling thread is in the namespace.
func Connected(local, remote netip.AddrPort) (there bool, unread int, err error) {
	m, err := withEnds(local, remote, made)
	if m == nil || err != nil {
		return false, 0, err
	}
	return true, int(binary.NativeEndian.Uint32(m[56:])), nil
}

// HalfMade says whether the namespace has a connection with these ends whose handshake it does
// not take for complete (SYN_RECV). The calling thread is in the namespace.
func HalfMade(local, remote netip.AddrPort) (there bool, err error) {
	const half = 1<<3 | 1<<12 // TCP_SYN_RECV, TCP_NEW_SYN_RECV: net/tcp_states.h
	m, err := withEnds(local, remote, half)
	return m != nil, err
}

// withEnds is the socket of these ends in one of the states, as struct inet_diag_msg, or nil.
//
// The kernel looks without a lock. Where a socket takes another's place, as when a closed one
// begins to wait (inet_twsk_hashdance), the new one is put before those that a look may have
// gone past, and the old one is taken away: that look finds neither. Another one finds it.
func withEnds(local, remote netip.AddrPort, states uint32) (m []byte, err error) {
	const looks = 2
	for range looks {
		sockets, err := lookedUp(local, remote)
		if err != nil {
			return nil, err
		}
		for _, m := range sockets {
			if states&(1<<m[1]) != 0 {
				return m, nil
			}
		}
	}
	return nil, nil
}

// lookedUp is what the kernel finds for a segment from remote to local: a connection's socket,
// as struct inet_diag_msg, or a listener's.
func lookedUp(local, remote netip.AddrPort) (sockets [][]byte, err error) {
	request := diagRequest(family(local.Addr()), 0)
	binary.BigEndian.PutUint16(request[8:], local.Port())
	binary.BigEndian.PutUint16(request[10:], remote.Port())
	copy(request[12:28], local.Addr().AsSlice())
	copy(request[28:44], remote.Addr().AsSlice())
	for i := range request[48:56] {
		request[48+i] = 0xff // INET_DIAG_NOCOOKIE
	}
	r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	r.AddRawData(request)
	replies, err := r.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for a connection: %w", err)
	}
	return slices.DeleteFunc(replies, func(m []byte) bool { return len(m) < diagMessageSize }), nil
}

// Connections lists the connections of the namespace that the calling thread is in.
func Connections() (found []Connection, err error) {
	listening := map[uint16]bool{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		r.AddRawData(diagRequest(family, made|1<<listen))
		err := r.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(m []byte) bool {
			switch {
			case len(m) < diagMessageSize:
			case m[1] == listen:
				listening[binary.BigEndian.Uint16(m[4:])] = true
			default:
				found = append(found, connectionOf(m))
			}
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list connections: %w", err)
		}
	}
	for i := range found {
		found[i].Accepted = listening[found[i].Local.Port()]
	}
	return found, nil
}

func diagRequest(family byte, states uint32) []byte {
	request := make([]byte, diagRequestSize)
	request[0], request[1], request[2] = family, unix.IPPROTO_TCP, 1<<(diagInfo-1)
	binary.NativeEndian.PutUint32(request[4:], states)
	return request
}

func connectionOf(m []byte) Connection {
	end := func(port, addr []byte) netip.AddrPort {
		a := netip.AddrFrom16([16]byte(addr)).Unmap()
		if m[0] == unix.AF_INET {
			a = netip.AddrFrom4([4]byte(addr))
		}
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
	}
	c := Connection{Local: end(m[4:], m[8:24]), Remote: end(m[6:], m[24:40])}
	attrs, err := nl.ParseRouteAttr(m[diagMessageSize:])
	if err != nil {
		return c
	}
	const lastDataReceived = 52 // in struct tcp_info, linux/tcp.h
	for _, attr := range attrs {
		if attr.Attr.Type == diagInfo && len(attr.Value) >= lastDataReceived+4 {
			c.Quiet = time.Duration(binary.NativeEndian.Uint32(attr.Value[lastDataReceived:])) * time.Millisecond
		}
	}
	return c
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
