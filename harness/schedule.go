package harness

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Step is something that is done to a lab at its time.
type Step struct {
	// After is how long after the step before, or after the begin.
	After time.Duration
	Do    func() error
}

// Schedule does steps beside the test, one after another, until one fails, the context is over or
// the lab goes down. wait returns when that is so, with the error of the step that failed: steps
// that are left undone are no failure. An error that nobody waits for fails the test.
//
//	wait := lab.Schedule(ctx,
//		harness.Step{After: time.Second, Do: func() error { return lab.Partition(harness.Group{one}) }},
//		harness.Step{After: 3 * time.Second, Do: lab.Heal})
func (l *Lab) Schedule(ctx context.Context, steps ...Step) (wait func() error) {
	l = l.here()
	err := l.exists()
	if ctx == nil {
		err = errNoContext
	}
	if err != nil {
		return func() error { return at(err, "schedule of lab %s", l.Name()) }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended, waited := make(chan struct{}), new(atomic.Bool)
	var failed error
	go func() {
		defer close(ended)
		defer cancel()
		for i, step := range steps {
			if !lasts(ctx, step.After) {
				return
			}
			if step.Do == nil {
				failed = at(errNoFunction, "schedule of lab %s: step %d", l.Name(), i+1)
			} else if err := step.Do(); err != nil {
				failed = at(err, "schedule of lab %s: step %d", l.Name(), i+1)
			}
			if failed != nil {
				return
			}
		}
	}()
	l.OnDown(func() {
		cancel()
		if <-ended; failed != nil && !waited.Load() {
			l.tb.Errorf("%v", failed)
		}
	})
	return func() error {
		waited.Store(true)
		<-ended
		return failed
	}
}

// lasts waits for a time, and says whether the context lasted as long.
func lasts(ctx context.Context, long time.Duration) bool {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// Flap takes the interface down for a time and up for a time, over and over, until the context is
// over; then it is up, as after Up.
func (p *Port) Flap(ctx context.Context, down, up time.Duration) error {
	p = p.here()
	if down <= 0 || up <= 0 {
		return at(errors.New("say how long it is to be down, and how long up: both more than nothing"), "node %s: port %s: flap", p.node.name, p.plan.Name)
	}
	if ctx == nil {
		return at(errNoContext, "node %s: port %s: flap", p.node.name, p.plan.Name)
	}
	for ctx.Err() == nil {
		if err := p.down(); err != nil {
			return at(err, "node %s", p.node.name)
		}
		lasts(ctx, down)
		if err := p.up(); err != nil {
			return at(err, "node %s", p.node.name)
		}
		lasts(ctx, up)
	}
	return p.Up() // which a twin has, without all those before
}
