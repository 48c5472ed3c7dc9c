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
	q := question{from: from, to: m.target, probes: m.probes, except: m.except}
	if len(q.probes) == 0 {
		q.probes = []Probe{ICMP()}
	}
	var err error
	if q.pairs, q.name, err = everyPair(from, m.target); err != nil {
		return nil, err
	}
	if m.leg == evidence.Answer { // one that arrives is enough
		q.pairs = slices.DeleteFunc(q.pairs, func(p pair) bool { return p.aside })
	}
	return q.ask(m.ctx)
}

// question is what a check asks: each probe at each pair of addresses, and those that are
// excepted at the pairs that decide.
type question struct {
	from           *harness.Node
	to             Target
	name           string
	pairs          []pair
	probes, except []Probe
}

// ask asks all at once.
func (q question) ask(ctx context.Context) ([]finding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []finding
	var tasks []*task
	add := func(f finding, p Probe, at pair) error {
		t := new(task)
		var err error
		if t.asking, err = newAsking(ctx, q.from, q.to, q.name, at.to, p); err != nil {
			return err
		}
		if err := t.sendFrom(at.source, 0); err != nil {
			return err
		}
		found, tasks = append(found, f), append(tasks, t)
		return nil
	}
	all := append(append([]Probe(nil), q.probes...), q.except...)
	for i, p := range all {
		if err := p.check(); err != nil {
			return nil, err
		}
		excepted := i >= len(q.probes)
		for _, at := range q.pairs {
			if excepted && at.aside {
				continue
			}
			if err := add(finding{aside: at.aside, excepted: excepted}, p, at); err != nil {
				return nil, err
			}
		}
	}
	name := fmt.Sprintf("probes/%s-%s-isolation", q.from, q.name)
	if err := watchTasks(q.from.Lab(), name, watchedNodes(q.from, q.to), all, tasks); err != nil {
		return nil, err
	}
	var ways paths
	for i, t := range tasks {
		if err := ways.explain(&t.result); err != nil {
			return nil, err
		}
		found[i].Result = t.result
	}
	return found, nil
}
