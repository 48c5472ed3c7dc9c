package watch

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/wire"
)

// accountOf is the account of what was seen of a trail, made anew when there is more. The
// caller holds w.mu.
func (w *Watch) accountOf(t *Trail) account.Account {
	w.steady(t)
	if is := t.seen(); !t.counted || t.known != is {
		t.account, t.known, t.counted = account.Of(w.input(t)), is, true
	}
	return t.account
}

// seen is what an account of the trail would be made of now.
func (t *Trail) seen() known { return known{len(t.sightings), len(t.timeline), t.told, t.lost} }

// known is what an account was made of.
type known struct {
	sightings, timeline, told int
	lost                      string
}

// Account is what became of the packets of the probe, of what was seen until now.
func (w *Watch) Account(t *Trail) account.Account {
	w.mu.Lock()
	w.drain()
	w.countLost()
	w.steady(t)
	is := t.seen()
	if t.counted && t.known == is {
		defer w.mu.Unlock()
		return t.account
	}
	in := w.input(t)
	w.mu.Unlock()
	a := account.Of(in) // of many at once, as what is seen is only added to
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.seen() == is {
		t.account, t.known, t.counted = a, is, true
	}
	return a
}

// Answerer is the node at which the answer began that the asker has got, whatever its
// address; "" when that is not known.
func (w *Watch) Answerer(t *Trail) string {
	a := w.Account(t)
	if a.Lost != "" {
		return ""
	}
	return a.Origin()
}

// Widen says whether a probe's datagrams were led to ports that were not heard as it began, so
// that its answer may have gone where nobody listened; from then on taps hear all ports, and
// where rules are traced these. Of one that was answered, what rules have done does not matter.
func (w *Watch) Widen(t *Trail, answered bool) (wider bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || !t.Flow.Protocol.IsDatagrams() || answered && t.wide {
		return false, nil
	}
	isHeard := func(port uint16) bool { return w.ports[port] > 0 && w.ports[port] <= t.ports }
	for _, s := range t.timeline {
		if s.Role != request || isHeard(s.SourcePort) || isHeard(s.DestinationPort) {
			continue
		}
		if err := w.hearPort(wire.Flow{Protocol: t.Flow.Protocol, Port: s.DestinationPort}); err != nil {
			return false, err
		}
		wider = true
	}
	if !wider {
		return false, nil
	}
	return true, w.hearAll()
}

// Refuser is the node at which the refusal began that the asker has got from an address;
// "" when that is not known.
func (w *Watch) Refuser(t *Trail, from netip.Addr) string {
	a := w.Account(t)
	if a.Lost != "" {
		return ""
	}
	return a.Refuser(from)
}

// Over says whether the end of every packet of the probe was seen, and none arrived: no
// answer can come.
func (w *Watch) Over(t *Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	select { // it was looked at
	case <-t.changed:
	default:
	}
	return w.over(t, w.blind)
}

// OverAll is Over of each of many, for which the blind spots of a node are looked for
// once.
func (w *Watch) OverAll(trails []*Trail) []bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	w.countLost()
	known := map[string]bool{}
	blind := func(labels []string) bool {
		return slices.ContainsFunc(labels, func(label string) bool {
			if _, looked := known[label]; !looked {
				known[label] = w.blind([]string{label})
			}
			return known[label]
		})
	}
	over := make([]bool, len(trails))
	for i, t := range trails {
		over[i] = w.over(t, blind)
	}
	return over
}

// over is Over of what was read until now. The caller holds w.mu.
func (w *Watch) over(t *Trail, blind func(labels []string) bool) bool {
	if w.down {
		return true
	}
	for _, s := range t.timeline {
		if s.Dropped() {
			w.countLost()
			return w.closed(t, blind)
		}
	}
	return false
}

// closed says whether the end of every packet of the probe was seen, none got to where
// it was for, and nothing on its way could have kept a copy from sight. Of a request that
// arrived, it is the answer that did not. The caller holds w.mu.
func (w *Watch) closed(t *Trail, blind func(labels []string) bool) bool {
	a := w.accountOf(t)
	if a.Lost != "" || !a.Over(account.Request) {
		return false
	}
	touched := a.Touched(account.Request)
	if a.Delivered() {
		if t.goesOn && !t.Flow.First || !a.Over(account.Answer) || a.Arrived(account.Answer) {
			return false
		}
		touched = append(touched, a.Touched(account.Answer)...)
	}
	for _, s := range t.timeline {
		// The asker is to hear of it; of an answer, who sent that.
		if s.Dropped() && s.Rule.Rejects && s.Role != answer && !a.Over(account.Refusal) {
			return false
		}
	}
	slices.Sort(touched)
	return !blind(slices.Compact(touched))
}

// MayKeep says whether no request has arrived so far, and something that cannot be seen into (a
// program with a packet socket, a queue) at a node that it came by may have taken it, or a copy of it.
// Of one that was never made, as its own kernel has no way for it, there is nothing to take.
func (w *Watch) MayKeep(t *Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	a := w.accountOf(t)
	return len(t.timeline) > 0 && !a.Delivered() && w.blind(a.Touched(account.Request))
}

// blind says whether one of the nodes has a blind spot.
func (w *Watch) blind(labels []string) bool { return slices.ContainsFunc(labels, w.blindAt) }

// blindAt looks for a node's; while tries are judged, once for all.
func (w *Watch) blindAt(label string) bool {
	if blind, known := w.blinds[label]; known {
		return blind
	}
	p := w.byLabel[label]
	if p == nil {
		return true
	}
	spots, err := p.blindSpots()
	blind := err != nil || len(spots) > 0
	if w.blinds != nil {
		w.blinds[label] = blind
	}
	return blind
}

// blindSpots are what of a node the watch cannot see into.
func (p *point) blindSpots() ([]string, error) {
	if p.blind == nil {
		err := p.opens(func() (err error) {
			p.blind, err = inspect.OpenBlindSpots()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if !p.still { // nothing of it changes without a word
		var err error
		if p.standing, p.queues, err = p.blind.Standing(); err != nil {
			return nil, err
		}
		p.still = true
	}
	spots, err := p.blind.Sockets(IsTap, ReadsLog(p.node))
	if err == nil && p.queues {
		var waiting []string
		waiting, err = p.blind.Waiting()
		spots = append(spots, waiting...)
	}
	return append(spots, p.standing...), err
}
