package watch

import (
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// SettleBound is how long a watch waits at most for what it has not read yet.
const SettleBound = settleBound

// HoldRules keeps the watch from reading rules until release is called.
func (w *Watch) HoldRules() (release func()) {
	w.rules.mu.Lock()
	return w.rules.mu.Unlock
}

// Unread is how many rules were seen to drop something and are not read yet.
func (w *Watch) Unread(t *Trail) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(t.timeline), func(s sighting) bool { return s.event == nil }))
}

// Shrink leaves the taps, or the traces, room for next to nothing.
func (w *Watch) Shrink(taps, traces bool) {
	for _, t := range w.taps {
		if taps {
			_ = unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
		}
	}
	for _, t := range w.tracers {
		if traces {
			_ = t.events.SetReadBuffer(1)
		}
	}
}

// HoldState keeps the watch from reading a node's state until release is called.
func (w *Watch) HoldState(node string) (release func()) {
	entry := w.states.entry(w.nodes[node])
	entry.mu.Lock()
	return entry.mu.Unlock
}

// Age makes it long ago that something was seen of the flow.
func (w *Watch) Age(t *Trail, by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.last = t.last.Add(-by)
}

// Saw has the watch see something of the flow.
func (w *Watch) Saw(t *Trail, s evidence.Sighting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.see(s)
}

// HoldLegacy holds the sockets to iptables-legacy open, as a child does that is about
// to run another program, until release is called.
func (w *Watch) HoldLegacy() (release func()) {
	var held []int
	for _, t := range w.legacy {
		raw, err := t.events.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) {
			if another, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
				held = append(held, another)
			}
		})
	}
	return func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
	}
}

// Hold keeps the watch from hearing anything until release is called.
func (w *Watch) Hold() (release func()) {
	w.hearing.Lock()
	return w.hearing.Unlock
}
