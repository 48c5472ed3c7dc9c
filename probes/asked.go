package probes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// ask asks what the check is of, under one watch.
func (m *IsolationMatcher) ask(from *harness.Node) ([]finding, error) {
	q := question{from: from, to: m.target}
	var err error
	m.bare = nil
	switch {
	case len(m.probes) > 0:
		for _, p := range m.probes {
			q.wanted = append(q.wanted, wanted{Probe: p, fixed: p.fixed()})
		}
	case m.leg == evidence.Answer:
		q.wanted = []wanted{{Probe: ICMP()}}
	default:
		if m.bare, err = bareProbes(from, m.target); err != nil {
			return nil, err
		}
		q.wanted = slices.DeleteFunc(slices.Clone(m.bare.asked), func(w wanted) bool {
			return slices.ContainsFunc(m.except, func(p Probe) bool { return p.covers(w.Probe) })
		})
	}
	for _, p := range m.except {
		q.wanted = append(q.wanted, wanted{Probe: p, excepted: true})
	}
	if err := m.pair(&q); err != nil {
		return nil, err
	}
	found, err := q.ask(m.ctx)
	if err != nil {
		return nil, err
	}
	return m.remember(q, found)
}

// pair finds the pairs of addresses that each probe is asked at: those of one mark, class and
// user have the same.
func (m *IsolationMatcher) pair(q *question) (err error) {
	at := meetings(sync.OnceValues(func() ([]meeting, error) { return meetingsOf(q.from, q.to) }))
	known := map[source][]pair{}
	for i := range q.wanted {
		w := &q.wanted[i]
		if err := w.checkAt(q.from); err != nil {
			return err
		}
		leads := w.source.leads()
		pairs, have := known[leads]
		if !have {
			if pairs, q.name, err = everyPair(q.from, q.to, leads, at); err != nil {
				return err
			}
			if m.leg == evidence.Answer { // one that arrives is enough
				pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p.aside })
			}
			known[leads] = pairs
		}
		w.pairs = pairs
	}
	return m.forward(q, at)
}

// question is what a check asks: each probe at each of its pairs of addresses, and those that
// are excepted at the pairs that decide.
type question struct {
	from   *harness.Node
	to     Target
	name   string
	wanted []wanted
	first  bool // further answers were waited for already
}

// asks says whether a probe is asked at a pair.
func (w wanted) asks(at pair) bool {
	family := 4
	if at.to.Is6() {
		family = 6
	}
	return (w.family == 0 || w.family == family) && (!w.excepted || !at.aside) && (!at.group || w.toGroups(family))
}

// asked is a probe at an address, which is asked once.
type asked struct {
	probe Probe
	to    netip.Addr
}

// tasks are what is to be asked, and what will be found.
func (q question) tasks(ctx context.Context) (tasks []*task, found []finding, err error) {
	for _, w := range q.wanted {
		had := map[asked]bool{}
		for _, at := range w.pairs {
			p, ok := w.at(at)
			if !ok || !w.asks(at) || had[asked{p, at.to}] {
				continue
			}
			had[asked{p, at.to}] = true
			t := new(task)
			if t.asking, err = newAsking(ctx, q.from, q.to, q.name, at.to, p); err != nil {
				return nil, nil, err
			}
			t.first = q.first
			tasks = append(tasks, t)
			found = append(found, finding{fixed: w.fixed, aside: at.aside, group: at.group, forwarded: w.forwarded, excepted: w.excepted, closed: w.closed})
		}
		if len(had) == 0 && w.family == 0 {
			return nil, nil, fmt.Errorf("probe %s from %s: %s and %s have %w", w.Probe, w.source, q.from, q.name, errNoFamily)
		}
	}
	return tasks, found, nil
}

// ask asks all at once.
func (q question) ask(ctx context.Context) ([]finding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tasks, found, err := q.tasks(ctx)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("probes/%s-%s-isolation", q.from, q.name)
	if err := watchTasks(name, watchedLabs(q.from, q.to), tasks); err != nil {
		return nil, err
	}
	var ways paths
	for i, t := range tasks {
		if err := ways.explain(&t.result); err != nil {
			return nil, err
		}
		found[i].Result = t.result
	}
	return found, pastNeighbours(ctx, q.to, found)
}
