package harness

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

const (
	// frameType is for experiments (IEEE 802): no kernel takes it, and no rule of IP sees it.
	frameType = 0x88b5
	// etherHeader and etherLeast are the sizes of a frame's header, and of the shortest frame.
	etherHeader, etherLeast = 14, 60
	// plainFrame is the size of one where no rate asks for another.
	plainFrame = 200
	// fewest and most are how many are sent; surely so many times as many as of which one is lost
	// by chance show that: e^-21 is about unlikely.
	fewest, most, surely = 200, 20000, 21
	// ahead is how many are on their way at once, where no delay asks for more, and farAhead then.
	ahead, farAhead = 32, 1000
	// tick is how long nothing may come before the queue is looked at; settled how long at the end, where
	// the queue has let go of all: what it drops of copies does not say which.
	tick, settled = time.Millisecond, 100 * time.Millisecond
	// stuck is how long nothing may happen, besides what was set.
	stuck = 10 * time.Second
)

// notForwarded is a MAC that a bridge hands nothing on for (IEEE 802.1D, 7.12.6: a pause), and anybody that
// of nobody.
var (
	notForwarded = [6]byte{0x01, 0x80, 0xc2, 0, 0, 0x01}
	anybody      = [6]byte{0x02, 0, 0, 0, 0, 0x01}
)

// tally is what was sent, and what came of it.
type tally struct {
	size int
	sent []time.Time
	took map[uint32]time.Duration // of the first of a number that came
	// arrivals are those of all that came, copies as well, in their order.
	arrivals       []arrival
	twice, damaged int
	waited         bool // the queue was seen to keep frames for longer than a delay
}

// arrival is when a frame was sent, and when it came, by the machine's clock.
type arrival struct{ sent, at time.Time }

// frames are how large those of a way are, how many are sent, and how many at once.
func (w way) frames() (size, count, atOnce int) {
	size, count, atOnce = plainFrame, fewest, ahead
	lost, doubled := lots(w.set)
	for _, part := range []float64{lost, doubled, w.set.Corrupt} {
		if part > 0 {
			count = max(count, int(math.Ceil(min(surely/part, most))))
		}
	}
	if w.set.Rate > 0 {
		const bits, parts, least, enough = 8, 200, 12, 1000
		second := float64(w.set.Rate) / bits
		size = min(max(int(second/parts), etherLeast), w.mtu+etherHeader)
		burst, each := burstOf(w.set, w.mtu)/size, int(second)/size // frames
		count = max(burst+min(max(each, least), enough), min(count, burst+2*each))
		atOnce = min(ahead+int(2*second*(w.set.Delay+w.set.Jitter).Seconds())/size, farAhead)
	}
	if w.set.Limit > 0 {
		atOnce = max(1, min(atOnce, w.set.Limit/2))
	}
	return size, count, atOnce
}

// sender sends the frames of a way, and counts.
type sender struct {
	tally
	way
	in            inspect.Namespace // of the queue
	tx, rx        int
	count, atOnce int
	nonce         [8]byte
	before, drops uint32
	holds         uint32
	news, looked  time.Time
	buf, control  []byte
	copies        map[uint32]int
}

// send sends the frames and returns when all that came of them is known. The error is that of
// the context, or says what became of none.
func (w way) send(ctx context.Context) (*tally, error) {
	r := &sender{way: w, rx: -1, tx: -1, buf: make([]byte, 1<<16), control: make([]byte, 256), copies: map[uint32]int{}}
	r.size, r.count, r.atOnce = w.frames()
	r.took = map[uint32]time.Duration{}
	binary.NativeEndian.PutUint64(r.nonce[:], rand.Uint64())
	defer r.close()
	err := once(w.to.ground.enter, func() (err error) { r.rx, err = openFrames(unix.ETH_P_ALL, w.to.index); return err })
	if err == nil {
		err = once(w.from.ground.enter, func() (err error) { r.tx, err = openFrames(0, w.from.index); return err })
	}
	if err != nil {
		return nil, at(err, "open packet socket")
	}
	err = withState(ctx, w.queue.ground, func(s *state) error {
		r.in = s.in
		return r.run(ctx)
	})
	return &r.tally, err
}

func (r *sender) close() {
	for _, fd := range []int{r.rx, r.tx} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// openFrames opens a packet socket of an interface in the calling thread's namespace, which hears
// a protocol; none for 0.
func openFrames(protocol uint16, index int) (fd int, err error) {
	const room = 8 << 20
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err == nil {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room) // as much as an ordinary user may have
		}
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// run sends and reads until each frame has come, or was dropped by the queue.
func (r *sender) run(ctx context.Context) error {
	if err := r.look(); err != nil {
		return err
	}
	r.before, r.drops, r.news = r.drops, 0, time.Now()
	for !r.isOver() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.fill(); err != nil {
			return at(err, "send a frame")
		}
		came, err := r.read(tick)
		if err != nil {
			return at(err, "read frames")
		}
		if came {
			r.news = time.Now()
		}
		if !came || time.Since(r.looked) > tick {
			if err := r.look(); err != nil {
				return err
			}
		}
		if time.Since(r.news) > stuck+r.set.Delay+r.set.Jitter {
			return fmt.Errorf("of %d frames %d came, and the queue dropped %d: where the others are is not known, %d packets still wait there", len(r.sent), len(r.took), r.drops, r.holds)
		}
	}
	for more := true; more; {
		var err error
		if more, err = r.read(settled); err != nil {
			return at(err, "read frames")
		}
	}
	return r.sight()
}

// unknown is how many frames are on their way still.
func (r *sender) unknown() int { return len(r.sent) - len(r.took) - int(r.drops) }

func (r *sender) isOver() bool {
	return len(r.sent) == r.count && r.unknown() <= 0 && r.holds == 0
}

// fill sends as many as may be on their way.
func (r *sender) fill() error {
	to := &unix.SockaddrLinklayer{Protocol: htons(frameType), Ifindex: r.from.index, Halen: 6, Addr: [8]byte(append(r.target[:], 0, 0))}
	for len(r.sent) < r.count && r.unknown() < r.atOnce {
		frame := r.frame(uint32(len(r.sent)))
		now := time.Now()
		switch err := unix.Sendto(r.tx, frame, 0, to); {
		case errors.Is(err, unix.EAGAIN): // the queue has all that the socket may have under way
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil && !errors.Is(err, unix.ENOBUFS): // which is what the queue dropped
			return err
		}
		r.sent = append(r.sent, now)
	}
	return nil
}

// frame is one with a number, which it has many times: a bit of it may be flipped on its way.
func (r *sender) frame(number uint32) []byte {
	frame := append(make([]byte, 0, r.size+chunkSize), r.target[:]...)
	frame = append(frame, r.source[:]...)
	frame = binary.BigEndian.AppendUint16(frame, frameType)
	for len(frame) < r.size {
		frame = binary.BigEndian.AppendUint32(append(frame, r.nonce[:]...), number)
	}
	return frame[:r.size]
}

const chunkSize = 12 // a nonce and a number

// number is that of a frame of ours.
func (r *sender) number(frame []byte) (number uint32, is bool) {
	votes, best := map[uint32]int{}, 0
	for at := etherHeader; at+chunkSize <= len(frame); at += chunkSize {
		if !bytes.Equal(frame[at:at+len(r.nonce)], r.nonce[:]) {
			continue
		}
		n := binary.BigEndian.Uint32(frame[at+len(r.nonce):])
		if votes[n]++; votes[n] > best {
			number, best = n, votes[n]
		}
	}
	return number, best > 0 && int(number) < len(r.sent)
}

// read reads what came, and waits for a first one at most so long.
func (r *sender) read(wait time.Duration) (came bool, err error) {
	poll := []unix.PollFd{{Fd: int32(r.rx), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, int(wait.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return false, err
	}
	for {
		n, control, _, from, err := unix.Recvmsg(r.rx, r.buf, r.control, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return came, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return came, err
		}
		if link, is := from.(*unix.SockaddrLinklayer); is && link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if number, ours := r.number(r.buf[:n]); ours {
			came = true
			if err := r.take(number, r.buf[:n], r.control[:control]); err != nil {
				return came, err
			}
		}
	}
}

// take counts a frame that came.
func (r *sender) take(number uint32, frame, control []byte) error {
	now, err := stampOf(control)
	if err != nil {
		return err
	}
	sent := r.sent[number].Round(0)
	r.arrivals = append(r.arrivals, arrival{sent, now})
	if !bytes.Equal(frame, r.frame(number)) {
		r.damaged++
	}
	switch r.copies[number]++; r.copies[number] {
	case 1:
		r.took[number] = now.Sub(sent)
	case 2:
		r.twice++
	}
	return nil
}

// stampOf is when a packet came, by the kernel.
func stampOf(control []byte) (at time.Time, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return at, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), nil
		}
	}
	return at, errors.New("the kernel did not say when it came")
}

// look reads the queue: its first part counts what those drop that it hands on to.
func (r *sender) look() error {
	all, err := r.in.Qdiscs()
	if whole(err) != nil {
		return at(err, "read queues")
	}
	own := (&inspect.State{Qdiscs: all}).QdiscsOf(r.queue.index)
	if r.pair.node != "" {
		own = r.lane.of(own)
	}
	r.looked, r.holds = time.Now(), 0
	if len(own) == 0 {
		return nil
	}
	if drops := own[0].Drops - r.before; drops != r.drops {
		r.drops, r.news = drops, r.looked
	}
	r.holds = own[0].Holds
	for _, q := range own {
		r.waited = r.waited || q.Holds > 0 && (q.Rate > 0 || r.set.Delay == 0)
	}
	return nil
}

// sight is an error where a frame that came may not have been read.
func (r *sender) sight() error {
	stats, err := unix.GetsockoptTpacketStats(r.rx, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return err
	}
	if stats.Drops > 0 {
		return fmt.Errorf("%d packets came that this machine had no time to read: measure again, while less is sent there", stats.Drops)
	}
	return nil
}

// burstOf is how many bytes of a rate pass at once: two packets, or a millisecond's.
func burstOf(i topo.Impairment, mtu int) int {
	const bits, perSecond = 8, 1000
	return int(min(max(uint64(2*(mtu+etherHeader)), uint64(i.Rate)/bits/perSecond), math.MaxUint32))
}
