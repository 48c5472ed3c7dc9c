package truth_test

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// hands are the programs of a lab that hand on packets: relays and forwarders. They are
// of this very process, which may have no turn for a while where a machine has much to
// do. So it is known whether any is at work, and how late it was: by when the kernel
// says that a packet came.
type hands struct {
	mu   sync.Mutex
	busy int
	late time.Duration
	fds  []int
}

// watch adds a socket that packets are read from, which says when they came.
func (h *hands) watch(fd int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fds = append(h.fds, fd)
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// forget takes away sockets, before they are closed.
func (h *hands) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fds = nil
}

// take waits a while for a packet, and reads it into buf. Who gets one gives it back, or
// drops it.
func (h *hands) take(fd int, buf []byte) (n int, from *unix.SockaddrLinklayer, at time.Time, ok bool) {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, 50); err != nil || n == 0 {
		return 0, nil, at, false
	}
	h.add(1) // before it is read: it is to be seen in one place or the other
	control := make([]byte, 64)
	n, c, _, sender, err := unix.Recvmsg(fd, buf, control, unix.MSG_DONTWAIT)
	if from, ok = sender.(*unix.SockaddrLinklayer); err != nil || !ok {
		h.drop()
		return 0, nil, at, false // an error of the link
	}
	return n, from, came(control[:c]), true
}

// give says that a packet was handed on, which was due then.
func (h *hands) give(due time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
	h.late += max(0, time.Since(due))
}

func (h *hands) drop() { h.add(-1) }

func (h *hands) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy += n
}

// idle says whether nothing is under way, and nothing waits to be read.
func (h *hands) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy > 0 {
		return false
	}
	for _, fd := range h.fds {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, 0); err == nil && n > 0 {
			return false
		}
	}
	return true
}

// lateness is how late all packets were so far, in sum.
func (h *hands) lateness() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late
}

// pulse is how long this process had no turn, in sum, since it began: what its services
// and the library's own did not do meanwhile, no network is to blame for.
func pulse() time.Duration {
	beat.Do(func() {
		go func() {
			const every = 5 * time.Millisecond
			last := time.Now()
			for range time.NewTicker(every).C {
				if gap := time.Since(last); gap > 2*every {
					missed.Add(int64(gap - every))
				}
				last = time.Now()
			}
		}()
	})
	return time.Duration(missed.Load())
}

var (
	beat   sync.Once
	missed atomic.Int64
)

// came is when the kernel says that a packet came, or now.
func came(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

var _ = Describe("a program that hands on packets", func() {
	It("is at work from when a packet waits for it until it has handed it on, and says how late it was", func() {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) })
		h := &hands{}
		Expect(h.watch(pair[0])).To(Succeed())
		Expect(h.idle()).To(BeTrue())
		_, err = unix.Write(pair[1], []byte("a packet"))
		Expect(err).NotTo(HaveOccurred())
		Expect(h.idle()).To(BeFalse())
		h.add(1)
		_, err = unix.Read(pair[0], make([]byte, 64))
		Expect(err).NotTo(HaveOccurred())
		Expect(h.idle()).To(BeFalse())
		h.give(time.Now().Add(-time.Second))
		Expect(h.idle()).To(BeTrue())
		Expect(h.lateness()).To(BeNumerically(">=", time.Second))
		h.add(1)
		h.give(time.Now().Add(time.Hour)) // before its time
		Expect(h.lateness()).To(BeNumerically("<", 2*time.Second))
	})
})
