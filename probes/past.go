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
	var frames []*frame
	var of []*finding
	for i := range found {
		f := &found[i]
		frame, ok := frameFor(f.Result)
		if !ok || f.excepted || f.Probe.kind.framed == nil {
			continue
		}
		frames, of = append(frames, &frame), append(of, f)
	}
	results, err := sendFrames(ctx, to, of, frames)
	if err != nil {
		return err
	}
	for i, r := range results {
		of[i].takeFrame(r, frames[i], whyUnresolved(*of[i].Cause))
	}
	return nil
}

// sendFrames sends of each finding its request as a frame.
func sendFrames(ctx context.Context, to Target, of []*finding, frames []*frame) (results []Result, err error) {
	if len(of) == 0 {
		return nil, nil
	}
	tasks := make([]*task, len(of))
	for i, f := range of {
		t := new(task)
		if t.asking, err = newAsking(ctx, f.from, to, f.To, f.Addr, f.Probe.Within(min(f.Probe.bound(), DefaultWithin))); err != nil {
			return nil, err
		}
		t.frame, t.from = frames[i], frames[i].node
		tasks[i] = t
	}
	name := fmt.Sprintf("probes/%s-%s-frames", of[0].from, of[0].To)
	if err := watchTasks(name, watchedLabs(of[0].from, to), tasks); err != nil {
		return nil, err
	}
	for _, t := range tasks {
		results = append(results, t.result)
	}
	return results, nil
}

// gotThrough says whether a request that was sent as a frame arrived, or may have.
func (r Result) gotThrough() bool {
	return r.Cause == nil || r.Timeline.Answerer() != "" || r.delivered() || r.mayBeDelivered() || r.refusedByKernel()
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
	switch {
	case r.gotThrough():
		f.leaks = objection{
			fmt.Sprintf("only neighbour discovery stops the request: %s; sent to the MAC of %s it arrives", why, sent.next),
			"stop the request by a rule; a static neighbour entry lets it in",
		}
		f.Timeline = append(f.Timeline, r.Timeline...)
	case r.Cause.Kind == evidence.Unknown || kindOf(*r.Cause) == evidence.Neighbour:
	default:
		cause := *r.Cause
		once := fmt.Sprintf("%s, so it was sent once more, to the MAC of %s", why, sent.next)
		if cause.Detail != "" {
			once = cause.Detail + "; " + once
		}
		cause.Detail = once
		f.Cause, f.met = &cause, r.met
		f.Timeline = append(f.Timeline, r.Timeline...)
	}
}
