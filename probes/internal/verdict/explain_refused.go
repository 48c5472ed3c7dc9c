package verdict

import (
	"slices"

	"github.com/nstest/nstest/probes/evidence"
)

// refused explains a reset or an ICMP error by who sent the one that came back; where none
// did, by who one was first seen leaving.
func (o Observation) refused() (evidence.Cause, bool) {
	by := o.refuser()
	if by == "" {
		return evidence.Cause{}, false
	}
	if o.refusesCopy(by) {
		return evidence.Cause{}, false
	}
	request, ok := o.LastSeen(evidence.Request)
	if in, came := o.cameTo(by); came && request.Node != by {
		request = in // a copy of it went on
	}
	if at, came := o.rejected(o.Heard.Refuser); came {
		return o.dropped(at), true
	}
	if !ok && by == o.Flow.From {
		return evidence.Cause{}, false // its own kernel says that it could not send it
	}
	if by == o.Flow.From && o.declined() {
		return evidence.Cause{}, false // what it refuses is the answer
	}
	c := evidence.Cause{Kind: evidence.Unknown, Node: by, Leg: evidence.Request, Detail: "it sent a refusal, and no request was seen to reach it"}
	if !ok || request.Node != by {
		return c, true
	}
	p := o.at(request, evidence.Request)
	if p.state == nil {
		c.Detail = "its state was not read"
		return c, true
	}
	if p.state.Owns(p.to) {
		if c = p.unknown(""); p.explain(&c, refused) {
			return c, true
		}
	}
	c = o.stopped(request, evidence.Request)
	if c.Kind == evidence.Unknown && (c.Detail == noReason || c.Detail == noSilence) {
		c.Detail = "it sent a refusal, and no rule or route of it is known to"
	}
	return c, true
}

func (o Observation) refuser() string {
	if o.Heard.Refuser != "" {
		return o.Heard.Refuser
	}
	return o.Timeline.Refuser()
}

// Refusing is where the request came in at who sent the refusal; false where none did.
func (o Observation) Refusing() (evidence.Sighting, bool) {
	by := o.refuser()
	if by == "" {
		return evidence.Sighting{}, false
	}
	return o.cameTo(by)
}

// rejected is where a rule of a node said no to a request. One that only drops, as of a
// copy of it, sends no refusal.
func (o Observation) rejected(node string) (evidence.Sighting, bool) {
	for _, s := range slices.Backward(o.own(evidence.Request)) {
		if s.Role == evidence.Request && s.Node == node && !s.Foreign && s.Dropped() && s.Rule.Rejects {
			return s, true
		}
	}
	return evidence.Sighting{}, false
}
