package watch

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// hearFrame finds the flow that a frame belongs to.
func (w *Watch) hearFrame(t *tap, f frame) {
	w.heard.keep(t.end(f.index), f)
	p, ok := wire.Parse(f.data)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteFrame(t, f, p)
	w.catchUp()
}

func (w *Watch) noteFrame(t *tap, f frame, p *wire.Packet) {
	trail, role := w.find(t.node.Name(), p)
	if role == 0 {
		w.putOff(p, func() { w.noteFrame(t, f, p) })
		return
	}
	s := sightingOf(p)
	s.At, s.Node, s.Interface, s.Index, s.Direction = f.at, t.node.Name(), t.names[f.index], f.index, f.direction
	s.Role, s.Foreign = role, f.foreign && !t.ports[f.index]
	trail.see(s)
}

// mostLate bounds what is put off: other connections' packets stay until the last
// of the probes has been seen.
const mostLate = 1 << 16

// putOff keeps for later a packet that is nobody's and may turn out to be
// somebody's: a connection's initial sequence number is known when the asker's own
// tap was read, and others may be read before.
func (w *Watch) putOff(p *wire.Packet, again func()) bool {
	isn, ok := isnOf(p)
	if !ok || len(w.trails.waiting) == 0 {
		return false
	}
	if w.late >= mostLate {
		w.lost = "more connections were opened than the watch could keep apart"
		return false
	}
	w.early[isn] = append(w.early[isn], again)
	w.late++
	return true
}

// catchUp goes again through what came too early, when its sequence number was
// learned.
func (w *Watch) catchUp() {
	for len(w.learned) > 0 {
		isn := w.learned[0]
		w.learned = w.learned[1:]
		again := w.early[isn]
		delete(w.early, isn)
		for _, f := range again {
			f()
		}
	}
	if len(w.trails.waiting) == 0 && w.late > 0 {
		clear(w.early)
		w.late = 0
	}
}

// find is the flow that a packet belongs to, and what it is to it.
func (w *Watch) find(node string, p *wire.Packet) (*Trail, evidence.Role) {
	for _, trail := range w.trails.candidates(p) {
		role := trail.follower.role(node, p)
		if role == 0 {
			continue
		}
		if isn, fresh := trail.follower.learned(); fresh {
			w.trails.learn(trail, isn)
			w.learned = append(w.learned, isn)
		}
		return trail, role
	}
	return nil, 0
}

// hearEvent notes what a rule did with a packet of a flow: that it dropped it, or
// gave it other addresses.
func (w *Watch) hearEvent(t *tracer, e traceEvent) {
	t.uses.hear(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteEvent(t, e)
	w.catchUp()
}

func (w *Watch) noteEvent(t *tracer, e traceEvent) {
	id := traceID{t.node.Name(), e.id}
	if e.packet != nil {
		trail, role := w.find(t.node.Name(), e.packet)
		if role == 0 {
			delete(w.traced, id)
			if w.putOff(e.packet, func() { w.noteEvent(t, e) }) {
				w.traced[id] = &tracedPacket{early: true, Packet: *e.packet}
			}
			return
		}
		if before := w.traced[id]; before != nil && before.trail == trail && (before.Tuple() != e.packet.Tuple() || before.mark != e.mark) {
			trail.see(ruleSighting(t.node.Name(), e, role, e.packet))
		}
		w.traced[id] = &tracedPacket{trail: trail, role: role, Packet: *e.packet, mark: e.mark}
	}
	known := w.traced[id]
	switch {
	case known == nil || !e.dropped():
		return
	case known.early:
		w.putOff(&known.Packet, func() { w.noteEvent(t, e) })
		return
	}
	s := sighting{ruleSighting(t.node.Name(), e, known.role, &known.Packet), &e} // it is read later: here the next event waits
	s.Rule = &evidence.Rule{Family: familyNames[e.family], Table: e.table, Chain: e.chain, Handle: e.handle}
	known.trail.note(s)
}

// hearLegacy notes what a rule of iptables-legacy did with a packet of a flow.
func (w *Watch) hearLegacy(t *legacyTracer, e legacyEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLegacy(t, e)
	w.catchUp()
}

func (w *Watch) noteLegacy(t *legacyTracer, e legacyEvent) {
	trail, role := w.find(t.node.Name(), e.packet)
	if role == 0 {
		w.putOff(e.packet, func() { w.noteLegacy(t, e) })
		return
	}
	s := ruleSighting(t.node.Name(), traceEvent{at: e.at, iif: e.in, mark: e.mark}, role, e.packet)
	s.Rule = e.drops
	if s.Dropped() || s.Mark != 0 && !hasMark(trail.timeline, s) {
		trail.see(s)
	}
}

// sightingOf is what a packet says of itself, wherever it is.
func sightingOf(p *wire.Packet) evidence.Sighting {
	s := evidence.Sighting{
		Source: p.Source, Destination: p.Destination, Protocol: p.Protocol, TOS: p.TOS,
		Length: p.Length, TTL: int(p.TTL), NoHost: p.SaysNoHost(), Text: p.String(),
	}
	if !p.ICMP {
		s.SourcePort, s.DestinationPort = p.SourcePort, p.DestinationPort
	}
	return s
}

// ruleSighting is a packet in the hands of a node's rules. An event has no time of
// its own but that of its reading: see Timeline.order.
func ruleSighting(node string, e traceEvent, role evidence.Role, p *wire.Packet) evidence.Sighting {
	s := sightingOf(p)
	s.At, s.Node, s.Index, s.Role, s.Mark = e.at, node, e.iif, role, e.mark
	if s.Mark != 0 {
		s.Text += fmt.Sprintf(" mark %#x", s.Mark)
	}
	return s
}
