package probes

import (
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
)

// What a result shows of where its request came to, and who took it.

// delivered says whether a request was shown to be delivered in the target: to a socket,
// or to its kernel, whose reply went out or was kept from going out.
func (r Result) delivered() bool {
	switch {
	case r.noPath():
		return false
	case r.Outcome == Answered:
		return !r.answeredElsewhere()
	case r.reached:
		return true
	case r.Cause == nil:
		return false
	case r.Cause.Leg == evidence.Answer, r.Cause.Connected, r.Cause.Kind == evidence.NoAnswer, r.Cause.Kind == evidence.NoConnection:
		return r.otherAnswerer() == ""
	}
	return false
}

// answeredElsewhere says whether another node than the target answered, or one of several with the
// address of which it is not known, and the target was not seen to get the request.
func (r Result) answeredElsewhere() bool {
	unknown := r.Outcome == Answered && r.target != nil && r.By == "" && r.trail != nil
	return r.wrongOwner() || unknown && !r.cameToTarget()
}

// otherAnswerer is another node than the target that took the request: that an answer was
// seen to leave, or was made at; "" when there is none.
func (r Result) otherAnswerer() string {
	by := ""
	if r.target != nil {
		by = r.Timeline.Answerer()
	}
	if c := r.Cause; by == "" && c != nil && (c.Leg == evidence.Answer || c.Kind == evidence.NoConnection || c.Kind == evidence.NoAnswer) {
		by = r.taker()
	}
	if slices.Contains(r.targets(), by) {
		return ""
	}
	return by
}

// waiting says where a packet of a half waits; for an answer's that the request has not
// brought yet, there too.
func (r Result) waiting(leg evidence.Role) string {
	if leg == evidence.Answer && r.waits == "" {
		return r.answerWaits
	}
	return r.waits
}

// metBy is what the request met, or its answer.
func (r Result) metBy(leg evidence.Role) []watch.Passage {
	if leg == evidence.Answer {
		return r.metBack
	}
	return r.met
}

// taker is the node that took the request, where the answer was seen nowhere: what came in
// at the target was taken there, and else it was where the request ended.
func (r Result) taker() (by string) {
	targets := r.targets()
	if len(targets) == 0 || cameTo(r.Timeline, targets) || sameNode(r.from, r.target) {
		return ""
	}
	for _, p := range r.Packets {
		switch {
		case p.Role != evidence.Request || p.Stray:
		case slices.Contains(targets, p.Node):
			return ""
		case by == "" && (p.Fate == evidence.Delivered || p.Fate == evidence.Ended):
			by = p.Node
		}
	}
	return by
}

// refusedByKernel says whether the target's kernel got the request, and nobody there
// wanted it.
func (r Result) refusedByKernel() bool {
	if r.Cause == nil || r.Cause.Kind != evidence.NoListener {
		return false
	}
	targets := r.targets()
	return len(targets) == 0 || slices.Contains(targets, r.Cause.Node)
}

// lost says whether something was not seen for want of room: then nothing is known of it.
func (r Result) lost() bool {
	return r.Cause != nil && r.Cause.Kind == evidence.Unknown && r.Cause.Node == ""
}

// lostAtTarget says whether a request came to the target, and what became of it there is
// not known, or a program's own socket dropped it, which may take another.
func (r Result) lostAtTarget() bool {
	return r.Cause != nil && (r.Cause.Kind == evidence.Unknown || r.Cause.Kind == evidence.NotTaken) && r.Cause.Leg == evidence.Request && slices.Contains(r.targets(), r.Cause.Node)
}

// mayBeDelivered says whether a request, or a copy of one, was let in at the target, or may
// have been, while the Cause tells of another's end.
func (r Result) mayBeDelivered() bool {
	if r.Cause == nil {
		return false
	}
	targets := r.targets()
	there := slices.Contains(targets, r.Cause.Node) && r.Cause.Kind != evidence.Unknown && r.Cause.Discovery == nil
	if len(r.Packets) > 0 {
		return slices.ContainsFunc(r.Packets, func(p evidence.Packet) bool {
			if p.Role != evidence.Request || p.Stray || p.Fate != evidence.Delivered || !slices.Contains(targets, p.Node) {
				return false
			}
			return !there || p.Seen && r.Cause.Rule != nil // a rule ended one, and another was let in
		})
	}
	dropped := slices.ContainsFunc(r.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Dropped() && slices.Contains(targets, s.Node)
	})
	return !there && !dropped && cameTo(r.Timeline, targets)
}

// fragmentCame says whether a fragment of the request came in at the target, and not all did.
func (r Result) fragmentCame() bool {
	targets := r.targets()
	return slices.ContainsFunc(r.Packets, func(p evidence.Packet) bool {
		return p.Role == evidence.Request && p.Fragment && !p.Stray && p.Fate == evidence.Delivered && slices.Contains(targets, p.Node)
	})
}

// leaked says whether a packet of the request, or a copy of one, came in at the target while the
// Cause tells of another's end, which then isolates nobody.
func (r Result) leaked() bool { return r.mayBeDelivered() || r.fragmentCame() }

// cameIn says whether a request came in at the target and was not seen to end before it was
// delivered.
func (r Result) cameIn() bool {
	targets := r.targets()
	return slices.ContainsFunc(r.Packets, func(p evidence.Packet) bool {
		return p.Role == evidence.Request && !p.Stray && p.Fate == evidence.Delivered && slices.Contains(targets, p.Node)
	})
}

// targets are what a watch may call the node that is asked, or those that have the address, by
// the plan or now.
func (r Result) targets() []string {
	switch {
	case r.target != nil:
		return []string{r.target.Name(), r.target.Lab().Name() + "/" + r.target.Name()}
	case r.from != nil:
		lab, addr := r.from.Lab(), r.Addr.WithZone("")
		targets := lab.Plan().Owners(addr)
		now, _ := owners(lab, addr) // of a lab that is down what it was planned to be counts
		for _, node := range now {
			targets = append(targets, node.Name())
		}
		return targets
	}
	return nil
}

// cameToTarget says whether the target was seen to get the request, whoever answered.
func (r Result) cameToTarget() bool {
	return r.target != nil && cameTo(r.Timeline, r.targets())
}

// cameTo says whether a request was seen to come in at one of the nodes, for its MAC.
func cameTo(timeline evidence.Timeline, nodes []string) bool {
	return slices.ContainsFunc(timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Direction == evidence.In && !s.Foreign && slices.Contains(nodes, s.Node)
	})
}
