package truth_test

import (
	"context"
	"encoding/binary"
	"sync"
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

// done waits until what was read is handed on: how late it is is not known before.
func (h *hands) done(ctx context.Context) {
	h.mu.Lock()
	some := len(h.fds) > 0
	h.mu.Unlock()
	if some {
		settle(ctx, h.idle)
	}
}

// lateness is how late all packets were so far, in sum.
func (h *hands) lateness() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late
}

// pulse is how long this process had no turn, in sum, since it began: what its services
// and the library's own did not do meanwhile, no network is to blame for. A time without
// one that is not over counts as well.
func pulse() time.Duration {
	beat.once.Do(func() {
		beat.last = time.Now()
		go func() {
			for range time.NewTicker(beats).C {
				beat.mu.Lock()
				beat.missed += beat.gap()
				beat.last = time.Now()
				beat.mu.Unlock()
			}
		}()
	})
	beat.mu.Lock()
	defer beat.mu.Unlock()
	return beat.missed + beat.gap()
}

const beats = 5 * time.Millisecond

var beat heart

type heart struct {
	once   sync.Once
	mu     sync.Mutex
	last   time.Time
	missed time.Duration // before that
}

// gap is how long the next beat is overdue.
func (h *heart) gap() time.Duration {
	if d := time.Since(h.last); d > 2*beats {
		return d - beats
	}
	return 0
}

// lap is how late programs and this process were since the last one, in sum.
type lap struct {
	hands         *hands
	handed, pulse time.Duration
}

func newLap(h *hands) *lap { return &lap{h, h.lateness(), pulse()} }

// late ends it, and begins another.
func (l *lap) late(ctx context.Context) time.Duration {
	l.hands.done(ctx)
	handed, missed := l.hands.lateness(), pulse()
	d := max(handed-l.handed, missed-l.pulse)
	l.handed, l.pulse = handed, missed
	return d
}

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
		since := newLap(h)
		go h.give(time.Now().Add(-time.Minute)) // it is late, and has not handed it on yet
		Expect(since.late(context.Background())).To(BeNumerically(">=", time.Minute))
		Expect(since.late(context.Background())).To(BeNumerically("<", time.Minute))
		h.add(1)
		h.give(time.Now().Add(time.Hour)) // before its time
		Expect(h.lateness()).To(BeNumerically("<", 2*time.Minute))
	})

	It("counts a time without a turn that is not over", func() {
		h := &heart{last: time.Now().Add(-time.Second)}
		Expect(h.gap()).To(BeNumerically(">=", time.Second-beats))
		h.last = time.Now().Add(time.Second)
		Expect(h.gap()).To(BeZero())
	})
})
