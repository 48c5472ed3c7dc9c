package watch

import (
	"slices"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// exclude ends the watch of a lab's nodes.
func (w *Watch) exclude(lab *harness.Lab) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lab == w.lab {
		w.close()
		return
	}
	w.unwatch(func(p *point) bool { return p.node.Lab() == lab })
	delete(w.labs, lab)
	delete(w.seen, lab)
}

// unwatch ends the watch of nodes. The caller holds w.mu.
func (w *Watch) unwatch(is func(*point) bool) {
	var gone []*point
	w.points = slices.DeleteFunc(w.points, func(p *point) bool {
		if !is(p) {
			return false
		}
		gone = append(gone, p)
		delete(w.of, p.node)
		delete(w.byLabel, p.label)
		for _, fd := range p.sockets() {
			delete(w.sources, int32(fd))
			_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		}
		return true
	})
	w.linked, w.seenInto = nil, nil
	clear(w.ways)
	closeAll(gone)
}

// close ends it all. The caller holds w.mu, or has the only reference.
func (w *Watch) close() {
	if w.down {
		return
	}
	w.down = true
	for t := range w.book.trails {
		t.tell()
	}
	_ = unix.Close(w.epoll)
	closeAll(w.points)
}

// closers is how many goroutines close at once: each close of a tap waits for an RCU
// grace period of some 12 ms, and all at once for one.
const closers = 64

var closing = make(chan struct{}, closers)

// closeAll closes in the background. Who ends a lab does not wait for it.
func closeAll(points []*point) {
	for _, p := range points {
		p.uses.end()
		if p.rules != nil && p.table != nil && p.table.owned { // its table is gone when the lab is
			p.rules.close()
		}
		fds := p.sockets()
		go func() {
			closing <- struct{}{}
			defer func() { <-closing }()
			p.own.Lock()
			defer p.own.Unlock()
			p.gone = true
			if p.legacy != nil {
				p.legacy.close()
			}
			if p.rules != nil {
				p.rules.close()
			}
			if p.blind != nil {
				p.blind.Close()
			}
			if p.counters != nil {
				p.counters.Close()
			}
			for _, file := range p.oldNames {
				_ = file.Close()
			}
			forgetTap(p.tap)
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}()
	}
}
