package watch

import (
	"encoding/binary"
	"errors"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// tracer is a socket that hears what the rules of one namespace do with packets that
// are traced.
type tracer struct {
	fd    int
	room  int // the buffer's, in bytes
	buf   []byte
	known names
	event traceEvent // that was read last
}

// wantedBuffer is what a buffer has if it may be had, in bytes: an ordinary user gets
// what net.core.rmem_max allows.
const wantedBuffer = 8 << 20

// openTracer opens the socket in the calling thread's namespace. It hears every rule that
// a packet meets, also those that only lead it on: whether it would fare alike another time
// is told from them.
func openTracer() (*tracer, error) {
	fd, err := inspect.Hear(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTRACE)
	if err != nil {
		return nil, err
	}
	return &tracer{fd: fd, buf: make([]byte, 64<<10), known: names{}, room: enlarge(fd)}, nil
}

// enlarge makes a socket's buffer as large as may be, and says how large that is.
func enlarge(fd int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantedBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, wantedBuffer)
	}
	return bufferOf(fd)
}

// bufferOf is how large a socket's buffer is, in bytes as the kernel counts them.
func bufferOf(fd int) int {
	size, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return size
}

// read hands the events that are there to hear, and returns how many datagrams were
// read, with perTurn of which it ends, and whether events were lost.
func (t *tracer) read(hear func(*traceEvent)) (count int, lost bool) {
	for count < perTurn {
		n, err := recv(t.fd, t.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case err != nil:
			return count, lost
		}
		count++
		for rest := t.buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			length := int(binary.NativeEndian.Uint32(rest))
			if length < unix.NLMSG_HDRLEN || length > len(rest) {
				break
			}
			if binary.NativeEndian.Uint16(rest[4:]) == nftMessage(unix.NFT_MSG_TRACE) {
				var ok bool
				if t.event, ok = parseTrace(rest[unix.NLMSG_HDRLEN:length], t.known); ok {
					hear(&t.event)
				}
			}
			rest = rest[min((length+3)&^3, len(rest)):]
		}
	}
	return count, lost
}
