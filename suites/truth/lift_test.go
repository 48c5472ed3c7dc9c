package truth_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
)

// lift is a policy that was named and then taken away.
type lift struct {
	cause evidence.Cause
	err   error
}

// most is how many policies may lie one behind another.
const most = 32

// lift takes away what is said to end a probe, one policy after another, until it is
// delivered, or until what ends it is no policy; or its answer, until one comes. The
// oracle's own try is what counts.
func (w *world) lift(ctx context.Context, lab *harness.Lab, b *book, h *hands, a ask, of probes.Result) (lifts []lift, turned bool, err error) {
	plain := &oracle{lab: lab, book: b, ears: &ears{}, hands: h}
	for cause := of.Cause; len(lifts) < most; {
		if cause == nil || !cause.Policy || cause.Leg != of.Cause.Leg {
			return lifts, true, nil // it is answered, or ended by something else
		}
		l := lift{cause: *cause, err: probes.Lift(lab.Node(cause.Node), *cause)}
		if lifts = append(lifts, l); l.err != nil {
			return lifts, false, nil
		}
		before, err := counted(lab)
		if err != nil {
			return lifts, false, err
		}
		f := plain.ask(ctx, try{from: a.from, to: of.Addr, kind: a.kind, port: a.port})
		after, err := counted(lab)
		turned := f.answered || f.opened || of.Cause.Leg == evidence.Request && before.delivered(after, a.to, a.kind) > 0
		if err != nil || turned {
			return lifts, err == nil, err
		}
		r, err := probes.Watch(ctx, lab.Node(a.from), target(lab, a), w.probe(a))
		if err != nil {
			return lifts, false, err
		}
		cause = causeAt(r, of.Addr)
		if why := w.notUnderstood(r, cause); why != "" {
			return lifts, false, lost(why)
		}
		if cause != nil && slices.ContainsFunc(lifts, func(l lift) bool { return same(l.cause, *cause) }) {
			return lifts, false, nil
		}
	}
	return lifts, false, nil
}

// lost is an error: what ends a probe was understood, and is not without what was lifted.
type lost string

func (l lost) Error() string { return string(l) }

// notUnderstood says why the cause of an end is none; "" where one is not to be had: an
// answer came another way, where nothing translates it back, or of a connection that was
// made the rest is not followed.
func (w *world) notUnderstood(r probes.Result, cause *evidence.Cause) string {
	switch {
	case cause == nil || cause.Kind != evidence.Unknown:
	case w.translates() && strings.HasPrefix(cause.Detail, "it came back to the asker, who did not hear it"):
	case strings.Contains(r.String(), "the connection was made"):
	case strings.Contains(cause.Detail, "more time (Within)"): // who answers was late
	case strings.Contains(cause.Detail, othersPass):
	default:
		return fmt.Sprintf("%s (%s)", r, cause)
	}
	return ""
}

// translates says whether rules or programs change addresses on the way.
func (w *world) translates() bool {
	return w.blind() || slices.ContainsFunc(w.parts, func(p part) bool {
		return slices.ContainsFunc([]string{"dnat", "snat", "masquerade", "redirect", "tproxy"}, func(word string) bool { return strings.Contains(p.text, word) }) || programs.has(p.feature)
	})
}

// makes says whether a rule makes a port of others: these are asked too, and what is delivered
// at one of them is not what was asked for. Plain sockets judge that.
func (w *world) makes(port uint16) bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return strings.Contains(p.text, fmt.Sprintf("redirect to :%d", port)) })
}

// same says whether a cause was lifted already.
func same(a, b evidence.Cause) bool {
	if a.Node != b.Node || a.Leg != b.Leg || a.String() != b.String() {
		return false
	}
	return a.Rule == nil || b.Rule == nil || *a.Rule == *b.Rule
}

func causeAt(r probes.Result, addr netip.Addr) *evidence.Cause {
	for _, each := range eachOf(r) {
		if each.Addr == addr {
			return each.Cause
		}
	}
	return nil
}
