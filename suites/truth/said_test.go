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
	isolated, reached       verdict
	unanswered, refused     verdict
	lifts                   []lift
}

// verdict is a matcher's, with what the kernels counted meanwhile.
type verdict struct {
	asked, holds bool
	err          error
	delivered    int64 // packets of the kind that were delivered at the target
	// counters are by how much those of rules rose, by node and rule; -1 for a rule
	// that has none. They are nil when no rule was named.
	counters map[string]int64
}

// inconclusive says why a verdict is none; "" when it is one.
func (v verdict) inconclusive() string {
	if v.err == nil || !strings.Contains(v.err.Error(), "inconclusive") {
		return ""
	}
	_, why, _ := strings.Cut(v.err.Error(), "inconclusive")
	why, _, _ = strings.Cut(strings.TrimLeft(why, ": "), "\n")
	return why
}

// lift is a policy that was named and then taken away.
type lift struct {
	cause evidence.Cause
	err   error
}

// How long an answer may take: kernels answer at once, and repeat a question after a
// second, which is not to count; what this very process answers waits for its turn.
const (
	bound        = 400 * time.Millisecond
	serviceBound = 800 * time.Millisecond
)

func (w *world) probe(a ask) probes.Probe {
	d := bound
	if a.kind != icmp {
		d = serviceBound
	}
	if w.remembers() && a.kind == tcp {
		d = retransmits
	}
	d += 2 * w.slow()
	switch a.kind {
	case tcp:
		return probes.TCP(a.port).Within(d)
	case udp:
		return probes.UDP(a.port).Within(d)
	}
	return probes.ICMP().Within(d)
}

func target(lab *harness.Lab, a ask) probes.Target {
	if a.addr != "" {
		return netip.MustParseAddr(a.addr)
	}
	return lab.Node(a.to)
}

// consult asks the library one question in all its ways.
func (w *world) consult(ctx context.Context, lab *harness.Lab, a ask, survey bool) (said, error) {
	from, to, p := lab.Node(a.from), target(lab, a), w.probe(a)
	var s said
	if a.kind == every {
		var err error
		s.isolated, err = w.match(ctx, lab, a, func() (bool, error) { return probes.BeIsolatedFrom(to).WithContext(ctx).Match(from) })
		return s, err
	}
	bare, err := probes.Ask(ctx, from, to, p)
	if err != nil {
		return s, notAsked(err)
	}
	s.bare = eachOf(bare)
	watched, err := probes.Watch(ctx, from, to, p)
	if err != nil {
		return s, notAsked(err)
	}
	s.watched = eachOf(watched)
	if survey && a.addr == "" {
		if err := s.survey(ctx, from, to, p); err != nil {
			return s, notAsked(err)
		}
	}
	if err := w.judgeIsolation(ctx, lab, a, &s); err != nil {
		return s, err
	}
	if c := watched.Cause; c != nil && c.Leg == evidence.Answer || w.seed%5 == 0 {
		s.unanswered, err = w.match(ctx, lab, a, func() (bool, error) { return probes.BeUnansweredBy(to, p).WithContext(ctx).Match(from) })
		if err != nil {
			return s, err
		}
	}
	if watched.Outcome == probes.Refused || watched.Outcome == probes.Rejected {
		s.refused, err = w.match(ctx, lab, a, func() (bool, error) { return probes.BeRefusedBy(to, p).WithContext(ctx).Match(from) })
		if err != nil {
			return s, err
		}
	}
	if watched.Outcome == probes.Answered || bare.Outcome == probes.Answered {
		s.reached, err = w.match(ctx, lab, a, func() (bool, error) { return probes.Reach(to, p).WithContext(ctx).Match(from) })
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

func (s *said) survey(ctx context.Context, from *harness.Node, to probes.Target, p probes.Probe) error {
	matrix, err := probes.Grid{From: []*harness.Node{from}, To: []probes.Target{to}, Probes: []probes.Probe{p}, Watch: true}.Survey(ctx)
	if err != nil {
		return err
	}
	s.cell, s.surveyed = matrix.Cell(from.String(), to.String()), matrix.Results(from.String(), to.String())
	return nil
}

// judgeIsolation asks the matcher, and reads the counters of rules before and after
// it, where a rule is said to have ended the probe.
func (w *world) judgeIsolation(ctx context.Context, lab *harness.Lab, a ask, s *said) error {
	named := firstRule(s.watched) != nil
	var before map[string]int64
	var err error
	if named {
		if before, err = w.ruleCounters(lab); err != nil {
			return err
		}
	}
	s.isolated, err = w.match(ctx, lab, a, func() (bool, error) {
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

func (w *world) match(ctx context.Context, lab *harness.Lab, a ask, match func() (bool, error)) (verdict, error) {
	pause(ctx, w.slow()) // what was sent before may still be on its way
	before, err := counted(lab)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{asked: true}
	v.holds, v.err = match()
	if v.err != nil {
		v.err = errors.New(v.err.Error()) // some tell what comes of it once more: now, while the lab is up
	}
	pause(ctx, w.slow()) // a copy may be on its way
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

// most is how many policies may lie one behind another.
const most = 32

// lift takes away what is said to end a probe, one policy after another, until it is
// delivered, or until what ends it is no policy. The oracle's own try is what counts.
func (w *world) lift(ctx context.Context, lab *harness.Lab, b *book, a ask, of probes.Result) (lifts []lift, turned bool, err error) {
	plain := &oracle{lab: lab, book: b, ears: &ears{}, slow: w.slow(), bound: calm + w.slow()}
	for cause := of.Cause; len(lifts) < most; {
		if cause == nil || !cause.Policy || cause.Leg != evidence.Request {
			return lifts, true, nil // it is answered, or ended by something else
		}
		l := lift{cause: *cause, err: probes.Lift(lab.Node(cause.Node), *cause)}
		if lifts = append(lifts, l); l.err != nil {
			return lifts, false, nil
		}
		if err := forgetNeighbours(lab); err != nil {
			return lifts, false, err
		}
		before, err := counted(lab)
		if err != nil {
			return lifts, false, err
		}
		plain.ask(ctx, try{from: a.from, to: of.Addr, kind: a.kind, port: a.port})
		after, err := counted(lab)
		if err != nil || before.delivered(after, a.to, a.kind) > 0 {
			return lifts, err == nil, err
		}
		r, err := probes.Watch(ctx, lab.Node(a.from), target(lab, a), w.probe(a))
		if err != nil {
			return lifts, false, err
		}
		if cause = causeAt(r, of.Addr); cause != nil && slices.ContainsFunc(lifts, func(l lift) bool { return same(l.cause, *cause) }) {
			return lifts, false, nil
		}
	}
	return lifts, false, nil
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

// forgetNeighbours has all nodes ask for their neighbours once more: what stopped a
// probe may have stopped their questions and answers.
func forgetNeighbours(lab *harness.Lab) error {
	var errs []error
	for _, node := range lab.Nodes() {
		all, err := node.Netlink().NeighList(0, 0)
		errs = append(errs, err)
		for _, n := range all {
			const learned = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 // NUD_INCOMPLETE to NUD_FAILED
			if addr, ok := netip.AddrFromSlice(n.IP); ok && !addr.IsMulticast() && n.State&learned != 0 {
				_ = node.Netlink().NeighDel(&n) // it may be gone
			}
		}
	}
	return errors.Join(errs...)
}
