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

// bind gives a socket the probe's source, and a port of the kernel's choice, unless one
// was chosen; false where an earlier probe had it. Where all are used, as where
// net.ipv4.ip_local_port_range allows few, they are fresh again. The error is an errno.
func (a *asking) bind(fd int) (isFresh bool, err error) {
	n := freshOf(a.from, a.probe.kind.protocol, a.addr.Is6())
	if a.port, err = a.source.bind(fd, a.addr.Is6()); err != nil {
		return false, err
	}
	if a.source.port != 0 || n.take(a.port) {
		return true, nil
	}
	if a.binds++; a.binds%bindTries == 0 {
		n.forget()
	}
	return false, nil
}

// bindDatagrams binds a socket for datagrams, which may be bound again. Until it is
// connected, it hears whoever sends to its port.
func (a *asking) bindDatagrams(fd int) error {
	for {
		isFresh, err := a.bind(fd)
		if isFresh || err != nil {
			return err
		}
		if err := unbind(fd); err != nil {
			return err
		}
	}
}

// unbind gives up the port, or id, that the kernel has chosen for a socket for
// datagrams.
func unbind(fd int) error {
	nobody := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nobody)), unsafe.Sizeof(nobody))
	if errno != 0 {
		return errno
	}
	return nil
}
