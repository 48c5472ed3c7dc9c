package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// frame is what a tap saw: a packet from its network header on.
type frame struct {
	at        time.Time
	index     int
	direction evidence.Direction
	foreign   bool // addressed to another host's MAC
	protocol  uint16
	hardware  [6]byte // the sender's MAC of a frame that came in
	data      []byte

	hardwareType uint16 // ARPHRD_ of the interface
	kind         uint8  // PACKET_: for this host, broadcast, outgoing
}

// tap hears every packet of one namespace that its filter lets through: one
// unbound packet socket (packet(7)).
type tap struct {
	node  *harness.Node
	names map[int]string
	ports map[int]bool // the interfaces that are ports of a bridge
	fd    int
	file  *os.File
	raw   syscall.RawConn
}

// snapLength is how much of a packet a tap keeps, in bytes.
const snapLength = 512

// openTap opens a tap in the calling thread's namespace, which is node's.
func openTap(node *harness.Node, filter []unix.SockFilter) (*tap, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const buffer = 4 << 20
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // as much of it as rmem_max allows
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program),
		// Made deaf, and bound when the filter is there: nothing else was heard.
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})}))
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	t := &tap{node: node, fd: fd, file: os.NewFile(uintptr(fd), "tap")}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		_ = t.file.Close()
		return nil, err
	}
	return t, nil
}

// read hands every frame to hear until the tap is closed or stopped. hearing is
// held between taking a frame and having heard it.
func (t *tap) read(hearing sync.Locker, hear func(*tap, frame)) {
	buf, control := make([]byte, snapLength), make([]byte, 128)
	take := func() error {
		hearing.Lock()
		defer hearing.Unlock()
		n, oob, _, from, err := unix.Recvmsg(t.fd, buf, control, 0)
		if at, ok := from.(*unix.SockaddrLinklayer); err == nil && ok {
			hear(t, newFrame(at, append([]byte(nil), buf[:n]...), control[:oob]))
		}
		return err
	}
	_ = t.raw.Read(func(uintptr) bool {
		for {
			switch take() {
			case nil, unix.EINTR, unix.ENETDOWN: // the last is a link that went down
			case unix.EAGAIN:
				return false
			default:
				return true
			}
		}
	})
}

func newFrame(from *unix.SockaddrLinklayer, data, control []byte) frame {
	f := frame{at: time.Now(), index: from.Ifindex, direction: evidence.In, data: data}
	f.protocol = binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, from.Protocol))
	copy(f.hardware[:], from.Addr[:])
	f.hardwareType, f.kind = from.Hatype, from.Pkttype
	switch from.Pkttype {
	case unix.PACKET_OUTGOING:
		f.direction = evidence.Out
	case unix.PACKET_OTHERHOST:
		f.foreign = true
	}
	if at, ok := stampOf(control); ok {
		f.at = at
	}
	return f
}

// lost is how many packets did not fit into the tap's buffer since the last call.
// A closed tap's number may be another's by now.
func (t *tap) lost() (count int) {
	_ = t.raw.Control(func(fd uintptr) {
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			count = int(stats.Drops)
		}
	})
	return count
}

// stop ends read.
func (t *tap) stop() { _ = t.file.SetReadDeadline(time.Unix(1, 0)) }

// closeTaps closes beside: each close waits for an RCU grace period of some 12 ms,
// and all at once for one.
func closeTaps(taps []*tap) {
	for _, t := range taps {
		closing.Add(1)
		go func() {
			defer closing.Done()
			_ = t.file.Close()
		}()
	}
}

var closing sync.WaitGroup
