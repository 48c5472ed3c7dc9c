package watch

import (
	"errors"
	"os"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errTraceLost says that the kernel had more to tell than the socket could hold.
var errTraceLost = errors.New("events of the rule trace were lost")

// perProbe is what the events of a probe take of a trace's buffer at most, in bytes:
// of its request and its answer, each passing a dozen rules and policies that say
// something, with 2.3 kB for each.
const perProbe = 64 << 10

// manyProbes is the room of a watch that traces nothing.
const manyProbes = 1 << 10

// roomOf is how many probes' events the smallest buffer holds.
func roomOf(tracers []*tracer) int {
	room := manyProbes
	for _, t := range tracers {
		raw, err := t.events.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) {
			if size, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
				room = min(room, max(1, size/perProbe))
			}
		})
	}
	return room
}

// readEvents hands every datagram of a socket to hear until its deadline is over;
// hearing is held between taking one and having heard it. What was not to be had it
// tells lose at once: errTraceLost when there are gaps.
func readEvents(conn *netlink.Conn, hearing sync.Locker, hear func([]byte), lose func(error)) {
	raw, err := conn.SyscallConn()
	if err != nil {
		hearing.Lock()
		defer hearing.Unlock()
		lose(err)
		return
	}
	buf := make([]byte, 64<<10)
	take := func(fd int) error {
		hearing.Lock()
		defer hearing.Unlock()
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		switch err {
		case nil:
			hear(buf[:n])
		case unix.ENOBUFS:
			lose(errTraceLost)
		case unix.EAGAIN, unix.EINTR:
		default:
			lose(err)
		}
		return err
	}
	err = raw.Read(func(fd uintptr) bool {
		for {
			switch take(int(fd)) {
			case nil, unix.EINTR, unix.ENOBUFS:
			case unix.EAGAIN:
				return false
			default:
				return true
			}
		}
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, os.ErrClosed) {
		hearing.Lock()
		defer hearing.Unlock()
		lose(err)
	}
}
