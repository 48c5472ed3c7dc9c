package watch

import (
	"slices"
	"time"

	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

// muted are the last ICMP errors that rules dropped which say that a packet is too large. A
// trace has too little of what they quote to tell whose it was.
type muted struct {
	last   []verdict.Muted
	traced map[tracedID]verdict.Muted
}

// hearError notes an ICMP error that rules have, so that it is known if they drop it.
func (w *Watch) hearError(p *point, e *traceEvent, packet *wire.Packet) {
	key := tracedID{p, e.id}
	if !packet.SaysTooLarge() {
		delete(w.muted.traced, key)
		return
	}
	if w.muted.traced == nil || len(w.muted.traced) >= mostNearby {
		w.muted.traced = map[tracedID]verdict.Muted{}
	}
	w.muted.traced[key] = verdict.Muted{Node: p.label, To: packet.Destination}
}

// dropError notes that a rule dropped one.
func (w *Watch) dropError(p *point, e *traceEvent) {
	key := tracedID{p, e.id}
	m, ok := w.muted.traced[key]
	if !ok {
		return
	}
	delete(w.muted.traced, key)
	m.At, m.Rule = time.Now(), p.rule(e)
	if len(w.muted.last) >= mostNearby {
		w.muted.last = slices.Delete(w.muted.last, 0, mostNearby/2)
	}
	w.muted.last = append(w.muted.last, m)
}

// mutedSince are those that were dropped since a time. The caller holds w.mu.
func (w *Watch) mutedSince(since time.Time) (found []verdict.Muted) {
	for _, m := range w.muted.last {
		if !m.At.Before(since) {
			found = append(found, m)
		}
	}
	return found
}
