package watch

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// Heard is the prober's own view of how the probe ended.
type Heard = verdict.Heard

// betweenLooks is between two looks at the kernels' state, while nothing is seen: a
// neighbour is given up after some seconds, and soon forgotten.
const betweenLooks = 200 * time.Millisecond

// Conclude returns as soon as the end of the probe was seen, or the kernels' state
// says what it was and that it does not pass by itself, or when the context is over; then it says the best that is known. A cause that comes with a refusal is left
// for the prober to hear.
func (w *Watch) Conclude(ctx context.Context, t *Trail) evidence.Cause {
	for ctx.Err() == nil && !w.Over(t) {
		news := make(chan struct{})
		stop := w.Await(t, func() { close(news) })
		select {
		case <-ctx.Done():
		case <-news:
		case <-time.After(betweenLooks):
			if c := w.Explain(t, Heard{}); c.Kind != evidence.Unknown && c.Kind != evidence.Reject && (c.Rule == nil || c.Discovery != nil) && !c.Passing {
				stop()
				return c
			}
		}
		stop()
	}
	return w.Explain(t, Heard{})
}

// Explain says what stopped the probe, from what was seen until now and the state of
// the kernels' that matter. That was read since the last of it was seen; of what may
// pass by itself it is read again.
func (w *Watch) Explain(t *Trail, heard Heard) evidence.Cause {
	o := w.Observation(t, heard)
	c := verdict.Explain(o)
	if since, again := again(c); again {
		o = w.observe(t, heard, since)
		c = verdict.Explain(o)
	}
	if c.Kind == evidence.Neighbour { // one that did not answer: did a rule drop the question?
		o.Discoveries = w.Discoveries(t.begun.Add(-askedFor))
		w.readAnswering(&o, verdict.End{Node: c.Node, Interface: c.Interface})
		c = verdict.Explain(o)
	}
	return c
}

// again says since when the state is to have been read of what it does not account for yet, or
// may not any more. A packet is seen to come in before its node has asked for a neighbour, say:
// who reads in between, on another processor, finds nothing, and would never look again.
func again(c evidence.Cause) (since time.Time, again bool) {
	if c.Passing {
		return time.Now().Add(-stale), true
	}
	return time.Now().Add(-betweenLooks), c.Kind == evidence.Unknown
}

// askedFor is how long before a probe its neighbour may have been asked for, by a probe
// before it: three times, a second apart (mcast_solicit, retrans_time_ms).
const askedFor = 3 * time.Second

// stale is how old the state may be of what may be over by now: hundreds of probes may
// ask for it at once.
const stale = 10 * time.Millisecond

// Observation is all that is known of the probe: what was seen until now, and where
// that is needed, the state of the kernels' that matter.
func (w *Watch) Observation(t *Trail, heard Heard) verdict.Observation {
	return w.observe(t, heard, time.Time{})
}

// observe is Observation with states that were read since a time at least.
func (w *Watch) observe(t *Trail, heard Heard, since time.Time) verdict.Observation {
	timeline := w.Timeline(t)
	w.mu.Lock()
	w.steady(t)
	o := verdict.Observation{
		Flow: t.Flow, Heard: heard, Timeline: timeline,
		Ports: w.plan.ports, Peers: w.plan.peers, States: map[string]*inspect.State{}, Lost: t.lost, Nodes: map[string]verdict.Declared{}, Untraced: map[string]bool{},
		Way: w.wayOf(t), Awaited: t.awaits, Parted: w.parted(),
	}
	for label, p := range w.byLabel {
		if p.ruled && !p.node.Traced() {
			o.Untraced[label] = true
		}
	}
	if !heard.Answered {
		w.countLost()
		o.Lost = t.lost
		o.Account = w.accountOf(t)
		o.Queued, o.Muted = t.queued(), w.mutedSince(t.begun)
	}
	if t.last.After(since) {
		since = t.last
	}
	storms := t.storms
	w.mu.Unlock()
	w.readQueues(o.Queued)
	switch _, dropped := o.Dropped(); {
	case heard.Answered, storms: // nothing is concluded from it
	case !dropped:
		w.capture(&o, since)
	default:
		w.readDropped(&o, t, since)
		if o.GoesOn() {
			read := o.States
			o.States = map[string]*inspect.State{}
			w.capture(&o, since)
			maps.Copy(read, o.States)
			o.States = read
		}
	}
	return o
}

// parted are the groups of the labs that are cut, by node. The caller holds w.mu.
func (w *Watch) parted() map[string]int {
	parted := map[string]int{}
	for lab := range w.labs {
		groups := lab.Parted()
		if groups == nil {
			continue
		}
		for label, p := range w.byLabel {
			if p.node.Lab() == lab {
				parted[label] = groups[p.node.Name()]
			}
		}
	}
	return parted
}

// readDropped reads the node where a packet was dropped, if it may have had no business
// there; and then that of the next drop, which counts.
func (w *Watch) readDropped(o *verdict.Observation, t *Trail, since time.Time) {
	read := map[string]bool{o.Flow.From: !w.cameBack(t), o.Flow.To: true}
	for s, _ := o.Dropped(); !read[s.Node] && (!o.Account.Over(account.Request) || w.astray(t, s)); s, _ = o.Dropped() {
		read[s.Node] = true
		w.readState(o, s.Node, since, inquiry{links: []int{s.Index}})
	}
}

// cameBack says whether a rule dropped a request as it came in at the asker itself, which takes
// what it sends then.
func (w *Watch) cameBack(t *Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.Flow.From != t.Flow.To && slices.ContainsFunc(t.records, func(r *record) bool {
		return r.Node == t.Flow.From && r.role == request && r.Drop != nil && r.In != 0
	})
}

// astray says whether a packet that a rule dropped at a node had not come there by the plan's
// way, or to go on.
func (w *Watch) astray(t *Trail, s evidence.Sighting) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.wayOf(t), s.Node) {
		return true
	}
	return slices.ContainsFunc(t.records, func(r *record) bool {
		return r.Node == s.Node && r.role == s.Role && r.Drop != nil && r.Layer == account.IP && r.Out == 0 // before it was to leave
	})
}

// capture reads the state of the asker, of the target and of the nodes where
// packets were last seen, and then of those at the other ends of the links that
// these would send by.
func (w *Watch) capture(o *verdict.Observation, since time.Time) {
	asks := map[string]*inquiry{o.Flow.From: {questions: []inspect.Question{verdict.FirstQuestion(o.Flow)}}}
	if o.Flow.To != "" && o.Flow.To != o.Flow.From {
		asks[o.Flow.To] = &inquiry{sockets: o.Flow.Protocol}
	}
	var left, last []evidence.Sighting
	for _, leg := range []evidence.Role{evidence.Request, evidence.Answer} {
		if s, ok := o.LastSeen(leg); ok {
			last = append(last, s)
		}
	}
	if s, ok := o.Refusing(); ok && !slices.Contains(last, s) {
		last = append(last, s)
	}
	for _, s := range last {
		if asks[s.Node] == nil {
			asks[s.Node] = &inquiry{sockets: o.Flow.Protocol}
		}
		asks[s.Node].flow = o.Flow
		asks[s.Node].about(s)
		if came := o.AsCame(s); came.Source != s.Source {
			asks[s.Node].about(came)
		}
		if s.Direction == evidence.Out {
			left = append(left, s)
		}
	}
	for label, what := range asks {
		w.readState(o, label, since, *what)
	}
	for _, s := range left {
		w.readPeers(o, verdict.End{Node: s.Node, Interface: s.Interface}, s.Destination, since)
	}
	for label := range asks {
		state := o.States[label]
		if state == nil {
			continue
		}
		for q, l := range state.Lookups {
			if l.Errno == 0 {
				w.readPeers(o, verdict.End{Node: label, Interface: state.Link(l.Out).Name}, l.Next(q.To), since)
			}
		}
	}
}

// readState reads the state of a node. One that cannot be read is left out, and what is
// there to be told of it stays untold.
func (w *Watch) readState(o *verdict.Observation, label string, since time.Time, what inquiry) {
	w.mu.Lock()
	p := w.byLabel[label]
	w.mu.Unlock()
	if p == nil || o.States[label] != nil {
		return
	}
	if state, err := w.states.state(p.node, label, since, what); err == nil {
		state.Legacy = state.Legacy && p.legacy == nil
		o.States[label] = state
		if d, ok := declaredOf(p.node); ok {
			o.Nodes[label] = d
		}
	}
}

// mostPeers bounds whom to look at on a switch: a state takes a millisecond.
const mostPeers = 8

// readPeers reads the states of the other ends of a link; where there are many, of
// those that have the address.
func (w *Watch) readPeers(o *verdict.Observation, at verdict.End, next netip.Addr, since time.Time) {
	w.readSwitch(o, at, since)
	peers := o.Peers[at]
	for _, peer := range peers {
		if len(peers) <= mostPeers || o.Planned(peer, next) {
			w.readState(o, peer.Node, since, inquiry{})
		}
	}
}
