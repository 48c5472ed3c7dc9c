package probes

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// queued is an entry of a socket's error queue (IP_RECVERR, ip(7)): struct
// sock_extended_err, the address of who sent the ICMP error, and the beginning
// of the packet that it is about, from its transport header's payload on.
type queued struct {
	errno      unix.Errno
	origin     uint8
	kind, code uint8
	info       uint32
	offender   netip.Addr
	packet     []byte
}

// closedPort says whether it is what a host sends when nobody has the port, or
// nobody the protocol.
func (q queued) closedPort() bool {
	switch q.origin {
	case unix.SO_EE_ORIGIN_ICMP:
		return q.kind == 3 && (q.code == 2 || q.code == 3)
	case unix.SO_EE_ORIGIN_ICMP6:
		return q.kind == 1 && q.code == 4 || q.kind == 4 && q.code == 1
	}
	return false
}

// fatal says whether it is the end of the packet that it is about. A redirect is
// not: the router handed the packet on, and names a shorter way. Ping sockets
// are told of it all the same.
func (q queued) fatal() bool {
	switch q.origin {
	case unix.SO_EE_ORIGIN_ICMP: // unreachable, time exceeded, parameter problem (RFC 792)
		return q.kind == 3 || q.kind == 11 || q.kind == 12
	case unix.SO_EE_ORIGIN_ICMP6: // RFC 4443, 2.1: the errors
		return q.kind < 128
	}
	return true
}

// mtu is the MTU that "fragmentation needed" and "packet too big" tell; else 0.
func (q queued) mtu() int {
	if q.origin == unix.SO_EE_ORIGIN_ICMP && q.kind == 3 && q.code == 4 || q.origin == unix.SO_EE_ORIGIN_ICMP6 && q.kind == 2 {
		return int(q.info)
	}
	return 0
}

// readQueue takes one entry off the error queue; false when it is empty.
func readQueue(fd int) (queued, bool) {
	var packet [256]byte
	var control [512]byte
	n, oobn, _, _, err := unix.Recvmsg(fd, packet[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return queued{}, false
	}
	messages, err := unix.ParseSocketControlMessage(control[:oobn])
	if err != nil {
		return queued{}, false
	}
	for _, m := range messages {
		level, kind := m.Header.Level, m.Header.Type
		if level == unix.SOL_IP && kind == unix.IP_RECVERR || level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR {
			if q, ok := parseExtendedError(m.Data); ok {
				q.packet = append([]byte(nil), packet[:n]...)
				return q, true
			}
		}
	}
	return queued{}, false
}

// extendedSize is sizeof(struct sock_extended_err), linux/errqueue.h. The
// offender's sockaddr follows it.
const extendedSize = 16

func parseExtendedError(data []byte) (queued, bool) {
	if len(data) < extendedSize {
		return queued{}, false
	}
	q := queued{
		errno:  unix.Errno(binary.NativeEndian.Uint32(data)),
		origin: data[4], kind: data[5], code: data[6],
		info: binary.NativeEndian.Uint32(data[8:]),
	}
	from := data[extendedSize:]
	if len(from) < 2 {
		return q, true
	}
	switch binary.NativeEndian.Uint16(from) {
	case unix.AF_INET:
		if len(from) >= 8 {
			q.offender = netip.AddrFrom4([4]byte(from[4:8]))
		}
	case unix.AF_INET6:
		if len(from) >= 24 {
			q.offender = netip.AddrFrom16([16]byte(from[8:24])).Unmap()
		}
	}
	return q, true
}
