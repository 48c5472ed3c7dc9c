package watch

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Await calls wake once, when something new is seen of the trail that comes by itself:
// a slow answer, a neighbour's. It is called at once when that was so since the last
// look. stop ends it. A probe that waits has the watch listen; else nobody does.
func (w *Watch) Await(t *Trail, wake func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-t.changed:
		wake()
		return func() {}
	default:
	}
	if w.down {
		wake()
		return func() {}
	}
	t.wake = wake
	if w.waiting++; w.waiting == 1 && !w.listening {
		w.listening = true
		go w.listen()
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		t.wake = nil
		w.waiting--
	}
}

// tell wakes who waits for the trail.
func (t *Trail) tell() {
	if t.wake != nil {
		t.wake()
		t.wake = nil
		return
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// idleFor is how long the listener stays when nobody waits, in milliseconds.
const idleFor = 100

// listen reads what comes while anybody waits.
func (w *Watch) listen() {
	for stormy := false; ; {
		fds := []unix.PollFd{{Fd: int32(w.epoll), Events: unix.POLLIN}}
		if stormy {
			fds = nil // it is always readable, and nobody reads
		}
		_, err := unix.Poll(fds, idleFor)
		w.mu.Lock()
		if w.waiting == 0 || w.down || err != nil && !errors.Is(err, unix.EINTR) {
			w.listening = false
			w.mu.Unlock()
			return
		}
		w.drain()
		stormy = w.storms != ""
		w.mu.Unlock()
	}
}
