package watch

import (
	"errors"

	"golang.org/x/sys/unix"
)

// listenAt hears the sockets of a point.
func (w *Watch) listenAt(p *point) error {
	errs := []error{
		w.listenTo(p.tap, source{p, func() bool {
			n := readTap(p.tap, w.slots, func(f *frame) { w.hearFrame(p, f) })
			p.read = n > 0 || p.read
			return n >= perTurn
		}}),
		w.listenTo(p.links, source{p, func() bool {
			if silence(p.links, w.scratch) {
				p.devices, w.linked, p.still = nil, nil, false
			}
			return false
		}}),
	}
	if p.alerts >= 0 {
		errs = append(errs, w.listenTo(p.alerts, source{p, func() bool {
			p.changed = silence(p.alerts, w.scratch) || p.changed
			return false
		}}))
	}
	return errors.Join(errs...)
}

func (w *Watch) listenTo(fd int, s source) error {
	w.sources[int32(fd)] = s
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// drain reads all that the kernels have told. Where there is no end of it, it stops: see
// storm. The caller holds w.mu.
func (w *Watch) drain() {
	turns := mostTurns * (1 + len(w.sources)/len(w.ready))
	for left := turns; !w.down && w.storms == ""; left-- {
		n, err := unix.EpollWait(w.epoll, w.ready[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		full := map[*point]bool{}
		for _, event := range w.ready[:n] {
			if s, ok := w.sources[event.Fd]; ok && s.read() {
				full[s.point] = true
			}
		}
		if left <= 0 && len(full) > 0 {
			w.storm(crowded(full))
		}
	}
	w.hearTold()
}

// told is an event of a trace that was read: of nftables, or of iptables-legacy.
type told struct {
	p      *point
	e      traceEvent
	legacy *legacyEvent
}

// hearTold takes the events that were read. Taps saw what is before them on a packet's way
// by the time that an event is read, so all taps are read first: an answer at a node that
// did not see the request is known by where the request began.
func (w *Watch) hearTold() {
	for i := range w.told {
		if t := &w.told[i]; t.legacy == nil {
			w.hearEvent(t.p, &t.e)
		}
	}
	// What the log of iptables-legacy says is of a packet that the trace has told of, which
	// may have been read later.
	for i := range w.told {
		if t := &w.told[i]; t.legacy != nil {
			w.hearLegacy(t.p, *t.legacy)
		}
	}
	clear(w.told)
	w.told, w.quoted = w.told[:0], w.quoted[:0]
}

// keep copies what an event has of the reader's buffer.
func (w *Watch) keep(quoted []byte) []byte {
	first := len(w.quoted)
	w.quoted = append(w.quoted, quoted...)
	return w.quoted[first:len(w.quoted):len(w.quoted)]
}

func (w *Watch) readTrace(p *point, t *tracer) (more bool) {
	n, lost := t.read(func(e *traceEvent) {
		event := told{p: p, e: *e}
		event.e.network, event.e.transport = w.keep(e.network), w.keep(e.transport)
		w.told = append(w.told, event)
	})
	if lost {
		w.lose(p, "events of the rule trace were lost")
	}
	return n >= perTurn
}

// Drain reads all that the kernels have told: over veth pairs a packet has gone all
// its way, and everything was told of it, by the time that sending it returns.
func (w *Watch) Drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	w.countLost()
}

// DrainAside is Drain, unless somebody else is at it, who reads all.
func (w *Watch) DrainAside() {
	if w.mu.TryLock() {
		defer w.mu.Unlock()
		w.drain()
		w.countLost()
	}
}

// countLost notes what did not fit into the taps' buffers.
func (w *Watch) countLost() {
	for _, p := range w.points { // a tap that was full was read since
		if p.read && overflowed(p.tap) > 0 {
			w.lose(p, "packets were lost at the tap")
		}
		p.read = false
	}
}

// lose notes that something was lost: of every probe that is out.
func (w *Watch) lose(p *point, what string) {
	p.uses.lose(what)
	for t := range w.book.trails {
		if t.storms {
			continue
		}
		t.lost = "node " + p.label + ": " + what
		t.tell()
	}
}
