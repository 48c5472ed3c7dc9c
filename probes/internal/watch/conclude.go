package watch

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"golang.org/x/sys/unix"
)

const (
	// firstPause is how long nothing more must be seen of a probe before the
	// kernels' state is read: over veth pairs a packet is through in microseconds.
	firstPause = 3 * time.Millisecond
	// longestPause is between two readings of a state: a neighbour may be given up, or a
	// link go down.
	longestPause = 200 * time.Millisecond
	// patience is how long it must be for causes that may pass by themselves, as a
	// neighbour that has not answered yet.
	patience = 50 * time.Millisecond
	// settleBound is how long the readers may take to read what is there: on a busy
	// machine they wait for their turn.
	settleBound = 2 * time.Second
)

// Heard is the prober's own view of how the probe ended.
type Heard = verdict.Heard

// Conclude returns as soon as what was seen accounts for the end of the probe, or
// when the context is over; then it says the best that is known. A cause that
// comes with a refusal is left for the prober to hear.
func (w *Watch) Conclude(ctx context.Context, t *Trail) evidence.Cause {
	pause := firstPause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return w.Explain(t, verdict.Heard{})
		case <-t.changed:
			pause = firstPause
			timer.Reset(pause)
			if !w.hasDropped(t) {
				continue
			}
		case <-timer.C:
			pause = min(2*pause, longestPause)
			timer.Reset(pause)
		}
		last := w.lastOf(t)
		quiet := time.Since(last) >= patience
		c := w.Explain(t, verdict.Heard{})
		switch {
		case c.Kind == evidence.Unknown || c.Kind == evidence.Reject:
		case c.Passing: // it may be over before the probe's time is
		case c.Policy || quiet:
			// Reading states takes a while: what came meanwhile may be the answer.
			if w.settle(); w.lastOf(t).Equal(last) {
				return c
			}
		}
	}
}

func (w *Watch) hasDropped(t *Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(t.timeline, func(s sighting) bool { return s.Dropped() })
}

// drained says whether everything that the kernel has told so far was read.
func (w *Watch) drained() bool {
	var fds []unix.PollFd
	add := func(fd uintptr) { fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}) }
	for _, t := range w.taps {
		_ = t.raw.Control(add) // none of one that is closed
	}
	for _, events := range w.traces() {
		if raw, err := events.SyscallConn(); err == nil {
			_ = raw.Control(add)
		}
	}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 0
}

// traces are the sockets that tell what rules do.
func (w *Watch) traces() (events []*netlink.Conn) {
	for _, t := range w.tracers {
		events = append(events, t.events)
	}
	for _, t := range w.legacy {
		events = append(events, t.events)
	}
	return events
}

// settle returns when everything that the kernel has told so far was heard. Where
// more comes than can be read it gives up: that is lost then, and said to be.
func (w *Watch) settle() {
	asked := time.Now()
	w.settling.Lock()
	defer w.settling.Unlock()
	if w.settled.After(asked) {
		return // another has just done so
	}
	begun := time.Now()
	for !w.drained() && time.Since(begun) < settleBound {
		runtime.Gosched()
	}
	for _, t := range w.taps {
		if n := t.lost(); n > 0 {
			w.lose("node " + t.node.Name() + ": packets were lost at the tap")
		}
	}
	w.hearing.Lock() // who has taken something has heard it by now
	defer w.hearing.Unlock()
	w.settled = begun
}

// Timeline is what was seen of the flow so far.
func (w *Watch) Timeline(t *Trail) evidence.Timeline {
	w.settle()
	for {
		w.mu.Lock()
		all, last := slices.Clone(t.timeline), t.last
		w.mu.Unlock()
		if len(all) > 0 || time.Since(last) >= patience {
			t.once.Do(func() { close(t.passed) })
		}
		if !slices.ContainsFunc(all, func(s sighting) bool { return s.event != nil }) {
			timeline := timelineOf(all)
			order(timeline)
			return timeline
		}
		w.readRules(t, all)
	}
}

func timelineOf(all []sighting) (timeline evidence.Timeline) {
	for _, s := range all {
		timeline = append(timeline, s.Sighting)
	}
	return timeline
}

// readRules reads the rules that dropped something, once. One that is gone by now
// is known by its place alone.
func (w *Watch) readRules(t *Trail, seen []sighting) {
	for i, s := range seen {
		if s.event == nil {
			continue
		}
		rule := w.rules.rule(w.nodes[s.Node], *s.event)
		w.mu.Lock()
		t.timeline[i].Rule, t.timeline[i].event = rule, nil
		w.mu.Unlock()
	}
}

// Explain says what stopped the probe, from what was seen until now and the state
// of the kernels' that matter. A state counts that was read after the last that was
// seen, and when that is long ago, after patience.
func (w *Watch) Explain(t *Trail, heard verdict.Heard) evidence.Cause {
	o := verdict.Observation{
		Flow: t.Flow, Heard: heard, Timeline: w.Timeline(t),
		Ports: w.plan.ports, Peers: w.plan.peers, States: map[string]*inspect.State{}, Lost: w.losses(), Nodes: declared(w.nodes),
	}
	since := w.lastOf(t)
	if settled := since.Add(patience); time.Now().After(settled) {
		since = settled
	}
	if recent := time.Now().Add(-longestPause); since.Before(recent) {
		since = recent // what waits may have changed: a neighbour is given up in seconds
	}
	s, dropped := o.Dropped()
	switch {
	case heard.Answered:
	case !dropped:
		w.capture(&o, since)
	case s.Node != o.Flow.From && s.Node != o.Flow.To: // had it any business there?
		w.read(&o, s.Node, since, inquiry{links: []int{s.Index}})
	}
	return verdict.Explain(o)
}

// lastOf is when the last of the flow was seen; before anything was, when it began.
func (w *Watch) lastOf(t *Trail) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.last
}

// losses says what taps or traces could not hold.
func (w *Watch) losses() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// capture reads the state of the asker, of the target and of the nodes where
// packets were last seen, and then of those at the other ends of the links that
// these would send by.
func (w *Watch) capture(o *verdict.Observation, since time.Time) {
	asks := map[string]*inquiry{o.Flow.From: {questions: []inspect.Question{verdict.FirstQuestion(o.Flow)}}}
	if o.Flow.To != "" && o.Flow.To != o.Flow.From {
		asks[o.Flow.To] = &inquiry{sockets: o.Flow.Protocol}
	}
	var left []evidence.Sighting
	for _, leg := range []evidence.Role{evidence.Request, evidence.Answer} {
		s, ok := o.LastSeen(leg)
		if !ok {
			continue
		}
		if asks[s.Node] == nil {
			asks[s.Node] = &inquiry{sockets: o.Flow.Protocol}
		}
		asks[s.Node].about(s)
		if s.Direction == evidence.Out {
			left = append(left, s)
		}
	}
	for name, what := range asks {
		w.read(o, name, since, *what)
	}
	for _, s := range left {
		w.readPeers(o, verdict.End{Node: s.Node, Interface: s.Interface}, s.Destination, since)
	}
	for name := range asks {
		state := o.States[name]
		if state == nil {
			continue
		}
		for q, l := range state.Lookups {
			if l.Errno == 0 {
				w.readPeers(o, verdict.End{Node: name, Interface: state.Link(l.Out).Name}, l.Next(q.To), since)
			}
		}
	}
}

// read reads the state of a node. One that cannot be read is left out, and what is
// there to be told of it stays untold.
func (w *Watch) read(o *verdict.Observation, name string, since time.Time, what inquiry) {
	node := w.nodes[name]
	if node == nil || o.States[name] != nil {
		return
	}
	if state, err := w.states.state(node, since, what); err == nil {
		state.Legacy = state.Legacy && !slices.ContainsFunc(w.legacy, func(t *legacyTracer) bool { return t.node == node })
		o.States[name] = state
	}
}

// mostPeers bounds whom to look at on a switch: a state takes a millisecond.
const mostPeers = 8

// readPeers reads the states of the other ends of a link; where there are many, of
// those that have the address.
func (w *Watch) readPeers(o *verdict.Observation, at verdict.End, next netip.Addr, since time.Time) {
	peers := o.Peers[at]
	for _, peer := range peers {
		if len(peers) <= mostPeers || o.Planned(peer, next) {
			w.read(o, peer.Node, since, inquiry{})
		}
	}
}
