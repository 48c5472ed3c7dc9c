package probes

import (
	"sync"
	"unsafe"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// fresh is what the probes of a lab have used: ICMP ids and source ports. Routers
// remember connections by them, so that a probe with an earlier one's number would
// ride on its connection. It is one store for all nodes, since addresses move and
// are translated. There are 65,536 numbers: of the kind that is used up, those that
// were used longest ago are the first to come again.
type fresh struct {
	mu sync.Mutex
	of map[freshKey]*numbers
}

// freshKey is a protocol in a family.
type freshKey struct {
	protocol wire.Protocol
	v6       bool
}

type freshStore struct{}

// freshOf are the numbers that probes of a node's lab have used.
func freshOf(node *harness.Node, protocol wire.Protocol, v6 bool) *numbers {
	all := node.Lab().Keep(freshStore{}, func() any { return &fresh{of: map[freshKey]*numbers{}} }).(*fresh)
	all.mu.Lock()
	defer all.mu.Unlock()
	key := freshKey{protocol, v6}
	if all.of[key] == nil {
		all.of[key] = &numbers{}
	}
	return all.of[key]
}

// numbers are those of 16 bits that were taken, in two generations: when there are
// generation new ones the older are forgotten.
type numbers struct {
	mu     sync.Mutex
	taken  [2]map[uint16]uint64 // by the upper ten bits, a bit for each of the lower six
	count  int                  // in the newer
	cursor uint16
}

// generation is a quarter of all ports that a kernel chooses from by default (32768
// to 60999): half of them are free at any time.
const generation = 7000

// blockSize is how many consecutive numbers a block has.
const blockSize = 64

// take says whether a number is fresh; then it is taken.
func (n *numbers) take(number uint16) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.takeIt(number)
}

func (n *numbers) takeIt(number uint16) bool {
	word, bit := number/blockSize, uint64(1)<<(number%blockSize)
	if n.taken[0][word]&bit != 0 || n.taken[1][word]&bit != 0 {
		return false
	}
	if n.taken[0] == nil {
		n.taken[0] = map[uint16]uint64{}
	}
	n.taken[0][word] |= bit
	if n.count++; n.count == generation {
		n.taken, n.count = [2]map[uint16]uint64{nil, n.taken[0]}, 0
	}
	return true
}

// next takes the next fresh number.
func (n *numbers) next() uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	for !n.takeIt(n.cursor) {
		n.cursor++
	}
	return n.cursor
}

// within takes a fresh number of the block that begins at first; false when none is
// left.
func (n *numbers) within(first uint16) (number uint16, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range uint16(blockSize) {
		if n.takeIt(first + i) {
			return first + i, true
		}
	}
	return 0, false
}

// block is the first number of a block, another one for each of 1,024 calls.
func (n *numbers) block() uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cursor += blockSize
	return n.cursor / blockSize * blockSize
}

// forget makes all numbers fresh.
func (n *numbers) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken, n.count = [2]map[uint16]uint64{}, 0
}

// bindTries bounds how many ports of the kernel's choice are looked at. Where half
// of them are free, one in a million probes finds none in so many.
const bindTries = 20

// openFresh makes sockets by open until one has a fresh port of the kernel's choice, or
// the one that was chosen. The error of binding it is an errno. Where all are used, as where net.ipv4.ip_local_port_range allows few, it begins anew.
func openFresh(n *numbers, from source, v6 bool, open func() (int, error)) (fd int, port uint16, err error) {
	for try := 1; ; try++ {
		if fd, err = open(); err != nil {
			return -1, 0, err
		}
		if port, err = from.bind(fd, v6); err != nil {
			_ = unix.Close(fd)
			return -1, 0, err
		}
		if from.port != 0 || n.take(port) {
			return fd, port, nil
		}
		_ = unix.Close(fd)
		if try%bindTries == 0 {
			n.forget()
		}
	}
}

// unbind gives up the port, or id, that the kernel has chosen for a datagram socket.
func unbind(fd int) error {
	nobody := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nobody)), unsafe.Sizeof(nobody))
	if errno != 0 {
		return errno
	}
	return nil
}
