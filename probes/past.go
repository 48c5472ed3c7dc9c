package probes

import (
	"context"
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

// pastNeighbours sends requests that neighbour discovery kept once more, as frames to the MAC that
// the lab knows, and lets their end decide: whoever has a static neighbour entry, or
// learned the MAC otherwise, gets so far.
func pastNeighbours(ctx context.Context, to Target, found []finding) error {
	var tasks []*task
	var of []int
	for i, f := range found {
		frame, ok := frameFor(f.Result)
		if !ok || f.excepted || f.Probe.kind.unserved {
			continue
		}
		t := new(task)
		var err error
		if t.asking, err = newAsking(ctx, f.from, to, f.To, f.Addr, f.Probe.Within(min(f.Probe.bound(), DefaultWithin))); err != nil {
			return err
		}
		t.frame, t.from = &frame, frame.node
		tasks, of = append(tasks, t), append(of, i)
	}
	if len(tasks) == 0 {
		return nil
	}
	from := found[0].from
	name := fmt.Sprintf("probes/%s-%s-frames", from, found[0].To)
	if err := watchTasks(name, watchedLabs(from, to), tasks); err != nil {
		return err
	}
	for i, t := range tasks {
		f := &found[of[i]]
		f.takeFrame(t.result, t.frame, whyUnresolved(*f.Cause))
	}
	return nil
}

// whyUnresolved is why a request waits: the rule that dropped a question for the neighbour, or
// its answer; where none was seen to, the cause's own words.
func whyUnresolved(c evidence.Cause) string {
	if c.Discovery == nil {
		return c.Detail
	}
	return fmt.Sprintf("the %s was dropped at %s by %s", c.Discovery.Packet, c.Node, c.Rule)
}

// takeFrame takes the end of the frame for the request's, where it has one that says more
// than that a neighbour did not answer.
func (f *finding) takeFrame(r Result, sent *frame, why string) {
	switch by := r.Timeline.Answerer(); {
	case r.Cause == nil || by != "" || r.delivered() || r.mayBeDelivered() || r.refusedByKernel():
		f.leaks = fmt.Sprintf("only neighbour discovery stops the request: %s; sent to the MAC of %s it arrives", why, sent.next)
		f.Timeline = append(f.Timeline, r.Timeline...)
	case r.Cause.Kind == evidence.Unknown || kindOf(*r.Cause) == evidence.Neighbour:
	default:
		cause := *r.Cause
		cause.Detail = fmt.Sprintf("%s, so it was sent once more, to the MAC of %s", why, sent.next)
		f.Cause, f.met = &cause, r.met
		f.Timeline = append(f.Timeline, r.Timeline...)
	}
}
