package watch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// recv is recv(2) with MSG_DONTWAIT. Those of package unix want the sender as well,
// which costs more than the call.
func recv(fd int, buf []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
	_ [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// slots are places for datagrams, each with its sender and control messages.
type slots struct {
	headers []mmsghdr
	vectors []unix.Iovec
	from    []unix.RawSockaddrLinklayer
	data    [][]byte
	control [][]byte
}

const (
	slotCount   = 32
	controlSize = 96 // holds a timestamp, and what packet(7) tells beside (PACKET_AUXDATA)
)

func newSlots(size int) *slots {
	s := &slots{
		headers: make([]mmsghdr, slotCount), vectors: make([]unix.Iovec, slotCount), from: make([]unix.RawSockaddrLinklayer, slotCount),
		data: make([][]byte, slotCount), control: make([][]byte, slotCount),
	}
	data, control := make([]byte, slotCount*size), make([]byte, slotCount*controlSize)
	for i := range slotCount {
		s.data[i], s.control[i] = data[i*size:(i+1)*size], control[i*controlSize:(i+1)*controlSize]
		s.vectors[i].Base = &s.data[i][0]
		s.vectors[i].SetLen(size)
		h := &s.headers[i].Msghdr
		h.Name, h.Iov, h.Control = (*byte)(unsafe.Pointer(&s.from[i])), &s.vectors[i], &s.control[i][0]
		h.SetIovlen(1)
	}
	return s
}

// receive fills the slots with what is there, and returns how many.
func (s *slots) receive(fd int) (int, error) {
	for i := range s.headers {
		s.headers[i].Namelen = unix.SizeofSockaddrLinklayer
		s.headers[i].SetControllen(controlSize)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.headers[0])), slotCount, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (s *slots) at(i int) (data, control []byte, from *unix.RawSockaddrLinklayer) {
	h := &s.headers[i]
	return s.data[i][:min(int(h.n), len(s.data[i]))], s.control[i][:h.Controllen], &s.from[i]
}
