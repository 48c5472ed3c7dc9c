package probes

import (
	"context"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// ask asks what the check is of, under one watch.
func (m *IsolationMatcher) ask(from *harness.Node) ([]finding, error) {
	q := question{from: from, to: m.target}
	var err error
	if q.pairs, q.name, err = everyPair(from, m.target); err != nil {
		return nil, err
	}
	if m.leg == evidence.Answer { // one that arrives is enough
		q.pairs = slices.DeleteFunc(q.pairs, func(p pair) bool { return p.aside })
	}
	m.bare = nil
	switch {
	case len(m.probes) > 0:
		for _, p := range m.probes {
			q.wanted = append(q.wanted, wanted{Probe: p})
		}
	case m.leg == evidence.Answer:
		q.wanted = []wanted{{Probe: ICMP()}}
	default:
		if m.bare, err = bareProbes(from, m.target); err != nil {
			return nil, err
		}
		q.wanted = slices.DeleteFunc(slices.Clone(m.bare.asked), func(w wanted) bool { return slices.ContainsFunc(m.except, w.like) })
	}
	for _, p := range m.except {
		q.wanted = append(q.wanted, wanted{Probe: p, excepted: true})
	}
	found, err := q.ask(m.ctx)
	if err != nil {
		return nil, err
	}
	return m.remember(q, found)
}

// question is what a check asks: each probe at each pair of addresses, and those that are
// excepted at the pairs that decide.
type question struct {
	from   *harness.Node
	to     Target
	name   string
	pairs  []pair
	wanted []wanted
}

// asks says whether a probe is asked at a pair.
func (w wanted) asks(at pair) bool {
	family := 4
	if at.to.Is6() {
		family = 6
	}
	return (w.family == 0 || w.family == family) && (!w.excepted || !at.aside) && (!at.group || w.toGroups(family))
}

// tasks are what is to be asked, and what will be found.
func (q question) tasks(ctx context.Context) (tasks []*task, found []finding, err error) {
	for _, w := range q.wanted {
		if err := w.check(); err != nil {
			return nil, nil, err
		}
		for _, at := range q.pairs {
			if !w.asks(at) {
				continue
			}
			t := new(task)
			if t.asking, err = newAsking(ctx, q.from, q.to, q.name, at.to, w.Probe); err != nil {
				return nil, nil, err
			}
			if err := t.sendFrom(at.source, at.device, w.from); err != nil {
				return nil, nil, err
			}
			tasks, found = append(tasks, t), append(found, finding{aside: at.aside, group: at.group, excepted: w.excepted, closed: w.closed})
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
