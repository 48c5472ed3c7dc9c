package probes

import (
	"context"
	"time"
)

// outlast waits for the probe's bound where the asker was told early that its request ended, and
// a program on the way may have taken it before and hand it on later: an ICMP error or a reset is the end of
// the packet that a kernel turned back, and of nothing else. It is done as soon as a request has arrived.
func (a *asking) outlast() error {
	w, trail := a.watched.watch, a.watched.trail
	if a.result.Outcome == Answered || a.result.Outcome == Silent || a.watched.over {
		return nil
	}
	done := func() bool { return !w.MayKeep(trail) }
	open := func() bool { return false } // it has an outcome: no second try confirms that
	_, err := a.waitUnder(done, open, func(ctx context.Context, until time.Time) (bool, error) {
		return untilHeard(ctx, until, nil) || done(), nil
	})
	return err
}
