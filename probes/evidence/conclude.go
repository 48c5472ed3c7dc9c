package evidence

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// firstPause is how long nothing more must be seen of a probe before the
	// kernels' state is read: over veth pairs a packet is through in microseconds.
	firstPause = 3 * time.Millisecond
	// patience is how long it must be for causes that may pass by themselves, as a
	// neighbour that has not answered yet.
	patience = 50 * time.Millisecond
	// settleBound is how long the readers may take to read what is there: on a busy
	// machine they wait for their turn.
	settleBound = 2 * time.Second
)

// Conclude returns as soon as what was seen accounts for the end of the probe, or
// when the context is over; then it says the best that is known. A cause that
// comes with a refusal is left for the prober to hear.
func (w *Watch) Conclude(ctx context.Context, t *Trail) Cause {
	pause, quiet := firstPause, time.Now()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return w.Explain(t, Heard{})
		case <-t.changed:
			quiet, pause = time.Now(), firstPause
			timer.Reset(pause)
			if !w.hasDropped(t) {
				continue
			}
		case <-timer.C:
			pause *= 2
			timer.Reset(pause)
		}
		c := w.Explain(t, Heard{})
		switch {
		case c.Kind == Unknown || c.Kind == Reject:
		case c.Policy() || time.Since(quiet) >= patience:
			return c
		}
	}
}

func (w *Watch) hasDropped(t *Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(t.timeline, Sighting.Dropped)
}

// drained says whether everything that the kernel has told so far was read.
func (w *Watch) drained() bool {
	var fds []unix.PollFd
	add := func(fd uintptr) { fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}) }
	for _, t := range w.taps {
		_ = t.raw.Control(add) // none of one that is closed
	}
	for _, t := range w.tracers {
		if raw, err := t.events.SyscallConn(); err == nil {
			_ = raw.Control(add)
		}
	}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 0
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
	w.hearing.Lock() // who has taken something has heard it by now
	defer w.hearing.Unlock()
	w.settled = begun
}

// Timeline is what was seen of the flow so far.
func (w *Watch) Timeline(t *Trail) Timeline {
	w.settle()
	for {
		w.mu.Lock()
		timeline := slices.Clone(t.timeline)
		w.mu.Unlock()
		if !slices.ContainsFunc(timeline, func(s Sighting) bool { return s.event != nil }) {
			timeline.order()
			return timeline
		}
		w.readRules(t, timeline)
	}
}

// readRules reads the rules that dropped something, once. One that is gone by now
// is known by its place alone.
func (w *Watch) readRules(t *Trail, seen Timeline) {
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
// of the kernels' that matter.
func (w *Watch) Explain(t *Trail, heard Heard) Cause {
	o := Observation{
		Flow: t.Flow, Heard: heard, Timeline: w.Timeline(t),
		Ports: w.plan.ports, Peers: w.plan.peers, States: map[string]*State{}, Lost: w.losses(),
	}
	s, dropped := o.dropped()
	switch {
	case heard.Answered:
	case !dropped:
		w.capture(&o)
	case s.Node != o.Flow.From && s.Node != o.Flow.To: // had it any business there?
		if state, err := w.states.state(w.nodes[s.Node], time.Now(), nil, false); err == nil {
			o.States[s.Node] = state
		}
	}
	return Explain(o)
}

// losses says what taps or traces could not hold.
func (w *Watch) losses() string {
	for _, t := range w.taps {
		if n := t.lost(); n > 0 {
			w.lose("node " + t.node.Name() + ": packets were lost at the tap")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// capture reads the state of the asker, of the nodes where packets were last seen,
// and of the other ends of their links.
func (w *Watch) capture(o *Observation) {
	now := time.Now()
	asks := map[string][]Question{o.Flow.From: {{To: o.Flow.Addr}}}
	if o.Flow.To != "" && o.Flow.To != o.Flow.From {
		asks[o.Flow.To] = nil
	}
	for _, leg := range []Role{Request, Answer} {
		s, ok := o.lastSeen(leg)
		if !ok {
			continue
		}
		asks[s.Node] = append(asks[s.Node], questions(s)...)
	}
	for _, name := range slices.Collect(maps.Keys(asks)) { // those that are added are not gone through
		for _, port := range o.Ports[name] {
			for _, peer := range o.Peers[port.End] {
				if _, ok := asks[peer.Node]; !ok && len(o.Peers[port.End]) <= mostPeers {
					asks[peer.Node] = nil
				}
			}
		}
	}
	for name, questions := range asks {
		node := w.nodes[name]
		if node == nil {
			continue
		}
		if state, err := w.states.state(node, now, questions, o.Flow.Protocol == TCP); err == nil {
			o.States[name] = state
		}
	}
}

// mostPeers bounds whom to look at on a switch: a state takes a millisecond.
const mostPeers = 8
