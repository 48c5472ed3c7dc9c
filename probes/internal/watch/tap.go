package watch

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// frame is what a tap saw: a packet from its network header on.
type frame struct {
	at           time.Time
	index        int
	kind         uint8 // PACKET_: for this host, broadcast, outgoing
	protocol     uint16
	hardware     [6]byte // the sender's MAC of a frame that came in
	hardwareType uint16  // ARPHRD_ of the interface
	tag          int     // the VLAN whose tag it has (IEEE 802.1Q); 0 for none
	data         []byte  // the reader's buffer
}

func (f *frame) out() bool { return f.kind == unix.PACKET_OUTGOING }

// foreign says whether it was addressed to another host's MAC.
func (f *frame) foreign() bool { return f.kind == unix.PACKET_OTHERHOST }

// group says whether it was a broadcast, or addressed to a group's MAC.
func (f *frame) group() bool {
	return f.kind == unix.PACKET_BROADCAST || f.kind == unix.PACKET_MULTICAST
}

// snapLength is how much of a packet a tap keeps, in bytes.
const snapLength = 512

// openTap opens a tap in the calling thread's namespace: one unbound packet socket
// (packet(7)), which hears every packet of the namespace that the filter lets through.
func openTap(filter []unix.SockFilter) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	enlarge(fd)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		SetFilter(fd, filter),
		// Made deaf, and bound when the filter is there: nothing else was heard.
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})}))
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	taps.Store(inodeOf(fd), true)
	return fd, nil
}

// SetFilter has a socket hear what a program lets through alone (SO_ATTACH_FILTER, socket(7)).
func SetFilter(fd int, filter []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
}

// readTap hands the frames that are there to hear, and returns how many there were: there
// may be more than perTurn.
func readTap(fd int, into *slots, hear func(*frame)) (count int) {
	for count < perTurn {
		n, err := into.receive(fd)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // the last is a link that went down
			continue
		case err != nil:
			return count
		}
		for i := range n {
			data, control, from := into.at(i)
			at, tag := toldOf(control)
			f := frame{
				at: at, tag: tag, index: int(from.Ifindex), kind: from.Pkttype, hardwareType: from.Hatype, data: data,
				protocol: binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, from.Protocol)),
			}
			copy(f.hardware[:], from.Addr[:])
			hear(&f)
		}
		if count += n; n < slotCount {
			return count
		}
	}
	return count
}

// toldOf is what the kernel tells beside a packet: the time that it gave it, now where it gave
// none, and the VLAN whose tag it has, 0 for none.
func toldOf(control []byte) (at time.Time, tag int) {
	const header, stampSize, vlanTCI, tciSize, id = unix.SizeofCmsghdr, 16, 16, 2, 0xfff // struct tpacket_auxdata, linux/if_packet.h
	for len(control) >= header {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		size := int(h.Len)
		if size < header || size > len(control) {
			break
		}
		switch data := control[header:size]; {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= stampSize:
			at = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
		case h.Level == unix.SOL_PACKET && h.Type == unix.PACKET_AUXDATA && len(data) >= vlanTCI+tciSize:
			if binary.NativeEndian.Uint32(data)&unix.TP_STATUS_VLAN_VALID != 0 {
				tag = int(binary.NativeEndian.Uint16(data[vlanTCI:])) & id
			}
		}
		control = control[min(unix.CmsgSpace(size-header), len(control)):]
	}
	if at.IsZero() {
		at = time.Now()
	}
	return at, tag
}

// overflowed is how many packets did not fit into a tap's buffer since the last call.
func overflowed(fd int) int {
	stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return int(stats.Drops)
}

// taps are the inode numbers of all taps, this watch's and others': they send nothing.
var taps sync.Map

func inodeOf(fd int) uint64 {
	var stat unix.Stat_t
	if fd < 0 || unix.Fstat(fd, &stat) != nil {
		return 0
	}
	return stat.Ino
}

func IsTap(inode uint64) bool {
	_, is := taps.Load(inode)
	return is
}

func forgetTap(fd int) { taps.Delete(inodeOf(fd)) }
