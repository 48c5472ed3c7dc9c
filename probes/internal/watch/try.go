package watch

import (
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// try is a second try of a probe, to confirm what only the state tells of its end.
type try struct {
	trail, second *Trail
	heard         Heard
	first         evidence.Cause
	at            *point
	again         func() (*Trail, error)
	moved         moves
	mayArrive     func(second *Trail) bool
	// names is true of one that only names what ended a probe whose bound is over: a queue that
	// is full holds packets, which are out of sight.
	names       bool
	made, shown bool
}

// tries are those that wait for their turn.
type tries struct {
	turn    sync.Mutex // of who makes them
	mu      sync.Mutex
	waiting []*try
}

// tryAgain says whether a second try shows the cause. Hundreds of probes may wait for that:
// those whose counters can be told apart are made at once.
func (w *Watch) tryAgain(t *try) bool {
	if t.at = w.pointOf(t.first.Node); t.at == nil {
		return false
	}
	w.tries.mu.Lock()
	w.tries.waiting = append(w.tries.waiting, t)
	w.tries.mu.Unlock()
	w.tries.turn.Lock()
	defer w.tries.turn.Unlock()
	if !t.made { // by another, with its own
		w.mu.Lock()
		room := w.room()
		w.mu.Unlock()
		w.make(w.tries.take(t, room))
	}
	return t.shown
}

// take takes a try, and at most so many with it: at each node those alone that move the
// same counters. What was not shown among others is made alone.
func (q *tries) take(t *try, most int) (batch []*try) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch = []*try{t}
	left := q.waiting[:0]
	for _, u := range q.waiting {
		switch {
		case u == t:
		case len(batch) < most && !t.trail.apart && !u.trail.apart && !slices.ContainsFunc(batch, u.blurs):
			batch = append(batch, u)
		default:
			left = append(left, u)
		}
	}
	clear(q.waiting[len(left):])
	q.waiting = left
	return batch
}

// blurs says whether two tries at one node may move the same counters for other reasons.
func (t *try) blurs(u *try) bool { return t.at == u.at && !t.like(u) }

// like says whether two tries are of one cause: each is to move the same counter once.
func (t *try) like(u *try) bool {
	f, g := t.trail.Flow, u.trail.Flow
	return t.at == u.at && t.first.Kind == u.first.Kind && t.first.Leg == u.first.Leg && t.heard == u.heard &&
		f.Protocol == g.Protocol && f.Addr.Is6() == g.Addr.Is6()
}

// make makes tries, all at once, with the nodes' counters read before and after.
func (w *Watch) make(batch []*try) {
	begun := time.Now()
	w.judging(true, nil)
	defer w.judging(false, nil)
	before := count(batch)
	var running sync.WaitGroup
	for _, t := range batch {
		running.Go(func() {
			if second, err := t.again(); err == nil {
				t.second = second
			}
		})
	}
	running.Wait()
	after := count(batch)
	w.judging(true, map[string]bool{})
	for _, t := range batch {
		alike := slices.DeleteFunc(slices.Clone(batch), func(u *try) bool { return !t.like(u) })
		was, is := before.of[t.at], after.of[t.at]
		t.made, t.shown = true, t.second != nil && was != nil && is != nil &&
			(t.moved(func(name string) uint64 { return is[name] - was[name] }, uint64(len(alike))) || w.waits(t, batch, before, after) || t.heard.Untaken != "" && w.drops(t, batch, before, after)) &&
			w.isAgain(t) && w.alone(t.at, alike, begun) && (t.names || w.shut(t.mayArrive(t.second), t.trail, t.second))
		t.trail.apart = !t.shown && len(alike) > 1
	}
}

// judging begins and ends to keep what tries are judged by.
func (w *Watch) judging(trying bool, blinds map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trying != trying {
		w.gone = nil
	}
	w.trying, w.blinds = trying, blinds
}

// counts are the counters of nodes, and what waits to be read at their UDP ports and what
// sockets dropped at ports, where that is wanted; none of a node that cannot be read.
type counts struct {
	of              map[*point]map[string]uint64
	unread, dropped map[*point]map[uint16]uint32
}

// count reads what the tries need of their nodes.
func count(batch []*try) counts {
	lite := slices.ContainsFunc(batch, func(t *try) bool { return t.trail.Flow.Protocol == wire.UDPLite })
	c := counts{map[*point]map[string]uint64{}, map[*point]map[uint16]uint32{}, map[*point]map[uint16]uint32{}}
	for _, t := range batch {
		if _, known := c.of[t.at]; known {
			continue
		}
		var err error
		if t.heard.Read || t.heard.Untaken != "" {
			c.unread[t.at], c.dropped[t.at], err = t.at.listens(lite)
		}
		if c.of[t.at] = nil; err == nil {
			c.of[t.at], _ = t.at.count()
		}
	}
	return c
}

// isAgain says whether a second try came to the same end as the first. What a program has
// read is not over before it says so: that is nothing that passes.
func (w *Watch) isAgain(t *try) bool {
	c := w.Explain(t.second, t.heard)
	return c.Kind == t.first.Kind && c.Node == t.first.Node && c.Leg == t.first.Leg && (t.heard.Read || !c.Passing)
}

// alone says whether nothing was seen at a node since a time of probes that are not of the
// tries: they may have moved its counters.
func (w *Watch) alone(at *point, alike []*try, since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	moved := func(t *Trail) bool {
		return t.last.After(since) && !slices.ContainsFunc(alike, func(u *try) bool { return u.second == t }) &&
			slices.ContainsFunc(t.timeline, func(s evidence.Sighting) bool { return s.Node == at.label })
	}
	for t := range w.book.trails {
		if moved(t) {
			return false
		}
	}
	return !slices.ContainsFunc(w.gone, moved)
}
