package truth_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
)

// said is what the library says about one question.
type said struct {
	bare, watched, surveyed []probes.Result
	cell                    string // of the survey; "" when none was made
	// all are surveys of every end by every other, unwatched and watched.
	all                 [2][]probes.Result
	isolated, reached   verdict
	unanswered, refused verdict
	lifts               []lift
	lost                string // what was not understood any more when something was lifted
	// late is how late the network's programs handed on packets, or how long this process
	// had no turn at all, in sum, while one of these was asked: the one where that was most.
	late time.Duration
}

// verdict is a matcher's, with what the kernels counted meanwhile.
type verdict struct {
	asked, holds bool
	err          error
	delivered    int64 // packets of the kind that were delivered at the target
	conversing   bool  // some may be of connections that earlier questions made
	// counters are by how much those of rules rose, by node and rule; -1 for a rule
	// that has none. They are nil when no rule was named.
	counters map[string]int64
}

// inconclusive says why a verdict is none; "" when it is one.
func (v verdict) inconclusive() string {
	// A flow that goes by what a program may choose is known to do so: that is a verdict.
	if v.err == nil || !strings.Contains(v.err.Error(), "inconclusive") || strings.Contains(v.err.Error(), othersPass) {
		return ""
	}
	_, why, _ := strings.Cut(v.err.Error(), "inconclusive")
	why, _, _ = strings.Cut(strings.TrimLeft(why, ": "), "\n")
	return why
}

// othersPass is what is said of a flow that drops a packet and would not drop another.
const othersPass = "but another passes, which a program may send as well"

// doubts says whether a policy ended it that goes by what any program may choose: of a
// probe it is true, and not of every program.
func (v verdict) doubts() bool {
	return v.err != nil && (strings.Contains(v.err.Error(), "which any program may choose") || strings.Contains(v.err.Error(), othersPass) || strings.Contains(v.err.Error(), "it says nothing of what others send"))
}

// beyond says whether it rests on what the oracle does not try: frames past neighbour
// discovery, and addresses of the link.
func (v verdict) beyond() bool {
	return v.err != nil && (strings.Contains(v.err.Error(), "only neighbour discovery stops the request") || strings.Contains(v.err.Error(), "(fe80:"))
}

// How long an answer may take: kernels answer at once, and repeat a question after a
// second, which is not to count; what this very process answers waits for its turn.
const (
	bound        = 250 * time.Millisecond
	serviceBound = 400 * time.Millisecond
)

func (w *world) probe(a ask) probes.Probe {
	d := w.within(a)
	switch a.kind {
	case tcp:
		return probes.TCP(a.port).Within(d)
	case udp:
		return probes.UDP(a.port).Within(d)
	}
	return probes.ICMP().Within(d)
}

// within is how long a probe may take.
func (w *world) within(a ask) time.Duration {
	d := bound
	if a.kind != icmp {
		d = serviceBound
	}
	if w.remembers() && a.kind == tcp || w.stopsDiscovery() {
		d = retransmits
	}
	return d + w.slow()
}

func target(lab *harness.Lab, a ask) probes.Target {
	if a.addr != "" {
		return netip.MustParseAddr(a.addr)
	}
	return lab.Node(a.to)
}

// consult asks the library one question in all its ways.
func (w *world) consult(ctx context.Context, lab *harness.Lab, hands *hands, a ask, survey bool) (s said, err error) {
	from, to, p := lab.Node(a.from), target(lab, a), w.probe(a)
	since := newLap(hands)
	lap := func() { s.late = max(s.late, since.late(ctx)) }
	defer lap()
	if a.kind == every {
		s.isolated, err = w.match(ctx, lab, hands, a, func() (bool, error) { return probes.BeIsolatedFrom(to).WithContext(ctx).Match(from) })
		return s, err
	}
	var bare, watched probes.Result
	ways := []func() error{
		func() (err error) { bare, err = probes.Ask(ctx, from, to, p); return err },
		func() (err error) { watched, err = probes.Watch(ctx, from, to, p); return err },
	}
	if w.seed%2 == 0 {
		slices.Reverse(ways) // the first finds what no other has warmed: neighbours, connections
	}
	for _, way := range ways {
		if err := way(); err != nil {
			return s, notAsked(err)
		}
		lap()
	}
	s.bare, s.watched = eachOf(bare), eachOf(watched)
	if survey && a.addr == "" {
		if err := s.survey(ctx, from, to, p); err != nil {
			return s, notAsked(err)
		}
		lap()
		if w.seed/2%2 == 0 {
			if err := w.surveyAll(ctx, lab, p, &s); err != nil {
				return s, notAsked(err)
			}
		}
	}
	lap()
	if err := w.judgeIsolation(ctx, lab, hands, a, &s); err != nil {
		return s, err
	}
	lap()
	if c := watched.Cause; c != nil && c.Leg == evidence.Answer || w.seed%5 == 0 {
		s.unanswered, err = w.match(ctx, lab, hands, a, func() (bool, error) { return probes.BeUnansweredBy(to, p).WithContext(ctx).Match(from) })
		if err != nil {
			return s, err
		}
	}
	lap()
	if watched.Outcome == probes.Refused || watched.Outcome == probes.Rejected {
		s.refused, err = w.match(ctx, lab, hands, a, func() (bool, error) { return probes.BeRefusedBy(to, p).WithContext(ctx).Match(from) })
		if err != nil {
			return s, err
		}
	}
	lap()
	if watched.Outcome == probes.Answered || bare.Outcome == probes.Answered {
		s.reached, err = w.match(ctx, lab, hands, a, func() (bool, error) { return probes.Reach(to, p).WithContext(ctx).Match(from) })
	}
	return s, err
}

// consultAcross asks a node of another lab.
func (w *world) consultAcross(ctx context.Context, lab, other *harness.Lab, a ask) (s said) {
	from, to, p := lab.Node(a.from), other.Node(a.to), w.probe(a)
	s.isolated.holds, s.isolated.err = probes.BeIsolatedFrom(to, p).WithContext(ctx).Match(from)
	s.reached.holds, s.reached.err = probes.Reach(to, p).WithContext(ctx).Match(from)
	return s
}

// unasked is an error of the library's own: it could not be asked.
type unasked struct{ error }

func notAsked(err error) error { return unasked{err} }

// judgeIsolation asks the matcher, and reads the counters of rules before and after
// it, where a rule is said to have ended the probe.
func (w *world) judgeIsolation(ctx context.Context, lab *harness.Lab, hands *hands, a ask, s *said) error {
	named := firstRule(s.watched) != nil
	var before map[string]int64
	var err error
	if named {
		if before, err = w.ruleCounters(lab); err != nil {
			return err
		}
	}
	s.isolated, err = w.match(ctx, lab, hands, a, func() (bool, error) {
		return probes.BeIsolatedFrom(target(lab, a), w.probe(a)).WithContext(ctx).Match(lab.Node(a.from))
	})
	if err != nil || !named {
		return err
	}
	s.isolated.counters, err = w.ruleCounters(lab)
	for id, n := range s.isolated.counters {
		if was, ok := before[id]; ok && n >= 0 {
			s.isolated.counters[id] = n - was
		}
	}
	return err
}

// ruleCounters are those of every node that has rules.
func (w *world) ruleCounters(lab *harness.Lab) (map[string]int64, error) {
	all := map[string]int64{}
	for _, node := range lab.Nodes() {
		if !slices.ContainsFunc(w.parts, func(p part) bool { return p.node == node.Name() && p.text != "" }) {
			continue
		}
		counters, err := ruleCounters(node)
		if err != nil {
			return nil, err
		}
		for id, n := range counters {
			all[node.Name()+" "+id] = n
		}
	}
	return all, nil
}

// firstRule is the first cause that is a rule of nftables.
func firstRule(results []probes.Result) *evidence.Cause {
	for _, r := range results {
		if c := r.Cause; c != nil && c.Rule != nil && !c.Rule.IsPolicy() && !strings.HasSuffix(c.Rule.Family, "-legacy") {
			return c
		}
	}
	return nil
}

func (w *world) match(ctx context.Context, lab *harness.Lab, h *hands, a ask, match func() (bool, error)) (verdict, error) {
	settle(ctx, h.idle) // what was sent before may still be on its way
	before, err := counted(lab)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{asked: true}
	if a.to != "" && a.kind != icmp && a.kind != udp {
		if v.conversing, err = conversing(lab, a.to); err != nil {
			return verdict{}, err
		}
	}
	v.holds, v.err = match()
	if v.err != nil {
		v.err = errors.New(v.err.Error()) // some tell what comes of it once more: now, while the lab is up
	}
	settle(ctx, h.idle) // a copy may be on its way
	after, err := counted(lab)
	switch {
	case a.to == "":
	case a.kind == every:
		v.delivered = before.delivered(after, a.to, icmp) + before.delivered(after, a.to, tcp) + before.delivered(after, a.to, udp)
	default:
		v.delivered = before.delivered(after, a.to, a.kind)
	}
	return v, errors.Join(err, ctx.Err())
}

func eachOf(r probes.Result) []probes.Result {
	if len(r.Each) > 0 {
		return r.Each
	}
	return []probes.Result{r}
}
