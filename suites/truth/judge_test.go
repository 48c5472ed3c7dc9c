package truth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
)

// round is one question of a world: what is said of it, and what is true.
type round struct {
	w     *world
	index int
	ask
	said said
	// asked is the library's error, when it could not ask.
	unasked error
	facts   []fact
	// sound are the facts of the world without its mistakes; nil when it has none, or
	// nothing is said to be isolated.
	sound []fact
	// freed are the facts of the world without its rules; nil where they are not what the
	// library is to have seen through, or it saw through them.
	freed []fact
	// missed is how late this process was while the oracle asked.
	missed time.Duration
	// turned is false where what was named is lifted, and nothing turned.
	lifted, turned bool
}

// examine asks the library in one lab and the oracle in another, alike.
// Before the oracle is asked, tests change what was said.
func (w *world) examine(ctx context.Context, change ...func(*round)) (rounds []*round, err error) {
	for i, a := range w.asks {
		rounds = append(rounds, &round{w: w, index: i, ask: a})
	}
	err = w.apart("said", rounds, w.remembers() || w.slow() > 0, func(s *scope, rounds []*round) error {
		return w.interview(ctx, s, rounds, change)
	})
	if err != nil {
		return nil, err
	}
	return rounds, w.findOut(ctx, rounds)
}

// apart has questions asked in a lab, or each in a lab of its own, all at once: where
// silence takes long.
func (w *world) apart(name string, rounds []*round, each bool, ask func(*scope, []*round) error) error {
	together := max(1, len(rounds))
	if each {
		together = 1
	}
	labs := slices.Collect(slices.Chunk(rounds, together))
	errs := make([]error, len(labs))
	var asking sync.WaitGroup
	for i, some := range labs {
		asking.Go(func() {
			errs[i] = in(fmt.Sprintf("truth/%d/%s/%d", w.seed, name, i), func(s *scope) {
				if err := ask(s, some); err != nil {
					s.Fatalf("%v", err)
				}
			})
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

// interview asks the library.
func (w *world) interview(ctx context.Context, s *scope, rounds []*round, change []func(*round)) error {
	lab := w.up(s)
	b := w.serve(s, lab, false)
	for _, r := range rounds {
		if r.across {
			other := w.up(s)
			w.serve(s, other, false)
			r.said = w.consultAcross(ctx, lab, other, r.ask)
			continue
		}
		var could unasked
		said, err := w.consult(ctx, lab, &s.hands, r.ask, r.index == 0)
		if r.said = said; errors.As(err, &could) {
			r.unasked = could.error
		} else if err != nil {
			return fmt.Errorf("%s: %w", r.ask, err)
		}
		for _, f := range change {
			f(r)
		}
	}
	for _, r := range rounds {
		of, ok := r.policy()
		if !ok || w.remembers() {
			continue
		}
		var err error
		var why lost
		since := newLap(&s.hands)
		r.said.lifts, r.turned, err = w.lift(ctx, lab, b, &s.hands, askedOf(of), of)
		r.said.late = max(r.said.late, since.late(ctx))
		if r.lifted = true; errors.As(err, &why) {
			r.lifted, r.said.lost = false, err.Error()
		} else if err != nil {
			return fmt.Errorf("lift: %s: %w", r.ask, err)
		}
		break // the lab is another now
	}
	return nil
}

// askedOf is the question of a result.
func askedOf(r probes.Result) ask {
	kind, port, _ := strings.Cut(r.Probe.String(), "/")
	a := ask{from: r.From, to: r.To, kind: kind}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		a.port = uint16(n)
	}
	return a
}

// findOut asks the oracle.
func (w *world) findOut(ctx context.Context, rounds []*round) error {
	ask := func(w *world, name string, which func(*round) *[]fact) error {
		return w.apart(name, rounds, w.remembers(), func(s *scope, rounds []*round) error {
			o := w.oracle(s)
			for _, r := range rounds {
				if facts := which(r); facts != nil && r.needsFacts() {
					since := newLap(o.hands)
					*facts = o.facts(ctx, w, r)
					if facts == &r.facts && !w.remembers() {
						more, err := o.otherwise(ctx, r)
						if err != nil {
							return err
						}
						r.facts = append(r.facts, more...)
					}
					r.missed = max(r.missed, since.late(ctx))
				}
			}
			return nil
		})
	}
	if err := ask(w, "true", func(r *round) *[]fact { return &r.facts }); err != nil {
		return err
	}
	if w.mistaken() && slices.ContainsFunc(rounds, func(r *round) bool { return r.said.isolated.holds }) {
		sound := w.without(func(p part) bool { return p.mistake })
		if err := ask(sound, "sound", func(r *round) *[]fact {
			if r.said.isolated.holds {
				return &r.sound
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if !w.ruled() || !slices.ContainsFunc(rounds, (*round).stopped) {
		return nil
	}
	return ask(w.without(func(p part) bool { return p.text != "" }), "freed", func(r *round) *[]fact {
		if r.stopped() {
			return &r.freed
		}
		return nil
	})
}

// stopped says whether a question is one where nothing was delivered, and neither that
// it is isolated was said, nor that this cannot be told.
func (r *round) stopped() bool {
	v := r.said.isolated
	return v.asked && v.err != nil && v.inconclusive() == "" && !r.w.stopsDiscovery() && !v.doubts() && !v.beyond() && r.kind != every && !r.across && r.to != "" && len(r.facts) > 0 &&
		!slices.ContainsFunc(r.facts, func(f fact) bool { return f.arrived[r.to] > 0 })
}

// needsFacts says whether there is anything that they could show to be wrong.
func (r *round) needsFacts() bool {
	return !r.across && (r.kind != every || r.said.isolated.holds)
}

// facts are those of every address of the target, from every address of the asker.
func (o *oracle) facts(ctx context.Context, w *world, r *round) (facts []fact) {
	times := 1
	if w.remembers() {
		times = 2
	}
	for time := range times {
		for _, a := range w.means(r.ask) {
			for _, t := range o.tries(w, a, r.said.bare) {
				facts = append(facts, o.ask(ctx, t))
				if time > 0 {
					continue
				}
				if w.users() {
					t.uid = 1000
					facts = append(facts, o.ask(ctx, t))
				}
				t.uid = 0
				if w.odd() {
					t.odd = true
					facts = append(facts, o.ask(ctx, t))
					t.odd = false
				}
				for _, port := range append(w.sports(a.kind), a.sport) {
					if t.sport = port; port > 0 {
						facts = append(facts, o.ask(ctx, t))
					}
				}
			}
		}
	}
	return facts
}

// meant is a question with a source port to ask it from as well; 0 is none.
type meant struct {
	ask
	sport uint16
}

// means are the questions that a check without probes has to find: what the target
// has open, what nobody has, and what rules let through by a source port.
func (w *world) means(a ask) []meant {
	if a.kind != every {
		return []meant{{ask: a}}
	}
	var all []meant
	questions := []ask{{kind: icmp}, {kind: tcp, port: 80}, {kind: udp, port: 53}, {kind: tcp, port: 81}, {kind: udp, port: 54}, {kind: udp, port: 4444}}
	if w.speaksGRE() {
		questions = append(questions, ask{kind: gre})
	}
	for _, q := range questions {
		q.from, q.to = a.from, a.to
		m := meant{ask: q}
		if q.kind == udp {
			m.sport = 53
		}
		all = append(all, m)
	}
	return all
}

// tries are those of an address of the target, those that the library asked among
// them, from every address of the asker.
func (o *oracle) tries(w *world, a meant, results []probes.Result) (tries []try) {
	var to []netip.Addr
	if a.addr != "" {
		to = []netip.Addr{netip.MustParseAddr(a.addr)}
	} else {
		to = append(addressesNow(o.lab.Node(a.to)), across(o.lab.Node(a.from), o.lab.Node(a.to))...)
	}
	for _, r := range results {
		if !slices.Contains(to, r.Addr) {
			to = append(to, r.Addr)
		}
	}
	devices := []string{}
	for _, p := range w.parts {
		if addr, err := netip.ParseAddr(p.owns); err == nil && p.node == a.to && !slices.Contains(to, addr) {
			to = append(to, addr)
		}
		if p.device != "" && p.node == a.from {
			devices = append(devices, p.device)
		}
	}
	from := addressesNow(o.lab.Node(a.from))
	for _, p := range w.parts {
		if addr, err := netip.ParseAddr(p.owns); err == nil && p.node == a.from && !slices.Contains(from, addr) {
			from = append(from, addr)
		}
	}
	for _, addr := range to {
		if addr.IsLoopback() {
			continue
		}
		t := try{from: a.from, to: addr, kind: a.kind, port: a.port}
		tries = append(tries, t)
		for _, device := range devices {
			by := t
			by.device = device
			tries = append(tries, by)
		}
		sources := slices.DeleteFunc(slices.Clone(from), func(s netip.Addr) bool { return s.Is6() != addr.Is6() || s.IsLoopback() || addr.Zone() != "" })
		if len(sources) < 2 {
			continue
		}
		for _, t.src = range sources {
			tries = append(tries, t)
		}
	}
	return tries
}

// policy is the result whose policy is to be lifted: one that isolates, or that ends an
// answer.
func (r *round) policy() (probes.Result, bool) {
	if r.addr != "" {
		return probes.Result{}, false
	}
	for _, each := range r.said.watched {
		if c := each.Cause; c != nil && c.Policy && c.Node != "" && (r.said.isolated.holds || c.Leg == evidence.Answer) {
			return each, true
		}
	}
	// Of a whole survey any will do: not always the first.
	all := r.said.all[1]
	for i := range all {
		each := all[(i+int(r.w.seed/4))%len(all)]
		if c := each.Cause; c != nil && c.Policy && c.Node != "" {
			return each, true
		}
	}
	return probes.Result{}, false
}

// fact is what came of asking an address, from the kernel's choice of source.
func (r *round) fact(addr netip.Addr) (fact, bool) {
	for _, f := range r.facts {
		if f.to == addr && f.plain() {
			return f, true
		}
	}
	return fact{}, false
}

// report is all that is known of a round.
func (r *round) report() string {
	text := fmt.Sprintf("%s\n", r.ask)
	for _, res := range slices.Concat(r.said.bare, r.said.watched, r.said.surveyed) {
		text += fmt.Sprintf("  said: %s (%s)\n", res, causeOf(res))
	}
	for _, v := range []struct {
		name string
		verdict
	}{{"isolated", r.said.isolated}, {"unanswered", r.said.unanswered}, {"refused", r.said.refused}, {"reached", r.said.reached}} {
		if v.asked {
			text += fmt.Sprintf("  %s: %t, %d packets delivered meanwhile, %v\n", v.name, v.holds, v.delivered, v.err)
		}
	}
	return text + "true:\n" + r.factsText()
}
