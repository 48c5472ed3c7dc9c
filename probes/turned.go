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
	kept := func() bool { return w.MayKeep(trail) }
	if a.result.Outcome == Answered || a.result.Outcome == Silent || a.watched.over || !kept() {
		return nil
	}
	never := func() bool { return false } // it has an outcome: no second try confirms that
	_, err := a.waitUnder(func() bool { return !kept() }, never, func(ctx context.Context, until time.Time) (bool, error) {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		return !kept(), nil
	})
	return err
}
