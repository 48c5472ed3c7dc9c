package watch

import "golang.org/x/sys/unix"

// Shrink leaves the taps, or the traces, room for next to nothing.
func (w *Watch) Shrink(taps, traces bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.points {
		if taps {
			_ = unix.SetsockoptInt(p.tap, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
		}
		for _, t := range p.tracers {
			if traces {
				_ = unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
				t.room, _ = unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
			}
		}
	}
}
