package probes

import (
	"errors"
	"fmt"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// accountFor is what accounts for a probe's end: what was seen, then what another try shows, and
// at last chance.
func (a *asking) accountFor(trail *watch.Trail, heard watch.Heard) evidence.Cause {
	w := a.watched.watch
	cause := w.Explain(trail, heard)
	held := a.held(trail, heard, cause) // now: what comes of it later is too late
	if cause.Kind == evidence.Neighbour && a.frame == nil {
		if heard.Flowed = w.Waits(trail, heard, cause); heard.Flowed != (verdict.Flowed{}) {
			cause = w.Explain(trail, heard)
		}
	}
	if cause.Kind == evidence.Unknown && !a.result.replied && a.watched.confirms && a.tookIt(trail, cause.Node, &heard) {
		cause = w.Explain(trail, heard)
	}
	if cause.Kind == evidence.Unknown && !a.result.replied && a.frame != nil {
		if heard.Flowed = w.Flowed(trail, heard, a.again); heard.Flowed.Switch != "" {
			cause = w.Explain(trail, heard)
		}
	}
	if held.Kind == evidence.Queued && (cause.Kind == evidence.Unknown || cause.Kind == evidence.Neighbour && cause.Discovery == nil) {
		return held
	}
	if cause.Kind == evidence.Unknown && !a.result.replied {
		heard.Chance = true
		cause = w.Explain(trail, heard)
	}
	return cause
}

// held is the queue where a packet waits of which nothing else accounts for the end, or for the
// neighbour's that it waits for; else the cause as it is.
func (a *asking) held(trail *watch.Trail, heard watch.Heard, cause evidence.Cause) evidence.Cause {
	open := cause.Kind == evidence.Unknown || cause.Kind == evidence.Neighbour && cause.Discovery == nil
	if !open || a.result.replied || a.result.Outcome != Silent {
		return cause
	}
	heard.Waited = true
	return a.watched.watch.Explain(trail, heard)
}

// tookIt says, of a request that nothing accounts for the end of at a node, whether a filter or a
// queue drops such a packet, or the target's socket took it, or dropped it, and puts that into what
// was heard. It asks some more times.
func (a *asking) tookIt(trail *watch.Trail, node string, heard *watch.Heard) bool {
	w, r := a.watched.watch, &a.result
	unsent := r.Outcome == Silent || r.Errno == unix.ENOBUFS
	for _, within := range []time.Duration{quiet, a.probe.bound()} { // a program's answer takes its time to come there
		again := func() (*watch.Trail, error) { return a.askAgain(within, true) }
		if r.Outcome == Silent {
			if heard.Flowed = w.Flowed(trail, *heard, again); heard.Flowed != (verdict.Flowed{}) {
				return true
			}
		}
		if unsent && heard.Filter == (verdict.Filter{}) {
			heard.Filter = w.Filtered(trail, *heard, again)
		}
		if heard.Filter != (verdict.Filter{}) {
			return true
		}
		if unsent && node != "" && heard.Queue == (verdict.End{}) {
			heard.Queue, heard.QueueKind = w.Queued(trail, node, again)
		}
	}
	if unsent && node != "" && heard.Queue == (verdict.End{}) {
		if heard.Tracking = w.Tracked(trail, node, a.again); heard.Tracking != (verdict.Tracking{}) {
			return true
		}
	}
	if heard.Queue == (verdict.End{}) && r.Outcome == Silent {
		if heard.Read = w.Reads(trail, a.again); !heard.Read {
			heard.Untaken = w.Untaken(trail, a.again)
		}
	}
	return heard.Queue != (verdict.End{}) || heard.Read || heard.Untaken != ""
}

// again asks once more, with an id and a port of its own, for as long as a packet takes.
func (a *asking) again() (*watch.Trail, error) { return a.askAgain(quiet, false) }

// askAgain is again; what a queue at the asker drops counts as sent where that is asked for.
func (a *asking) askAgain(within time.Duration, queued bool) (*watch.Trail, error) {
	b := a.afresh()
	b.probe = a.probe.Within(within)
	trail, err := a.watched.watch.Follow(b.flow(a.watched.watch))
	if err != nil {
		return nil, err
	}
	b.watched = &watched{watch: a.watched.watch, trail: trail}
	err = b.ask()
	a.watched.watch.Done(trail)
	switch {
	case queued && errors.Is(err, unix.ENOBUFS):
	case err != nil:
		return nil, err
	case b.result.Outcome != Silent:
		return nil, fmt.Errorf("asked again it is %s", b.result.Outcome)
	}
	return trail, nil
}
