package watch

import (
	"time"

	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

// hearError notes an ICMP error that rules have which says that a packet is too large, so that
// it is known if they drop it. A trace has too little of what it quotes to tell whose that was.
func (w *Watch) hearError(p *point, e *traceEvent, packet *wire.Packet) {
	id := tracedID{p, e.id}
	if !packet.SaysTooLarge() {
		w.muted.take(id)
		return
	}
	w.muted.has(id, verdict.Muted{Node: p.label, To: packet.Destination})
}

// dropError notes that a rule dropped one.
func (w *Watch) dropError(p *point, e *traceEvent) {
	if m, ok := w.muted.take(tracedID{p, e.id}); ok {
		m.At, m.Rule = time.Now(), p.rule(e)
		w.muted.add(m)
	}
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
