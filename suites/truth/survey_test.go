package truth_test

import (
	"context"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

func (s *said) survey(ctx context.Context, from *harness.Node, to probes.Target, p probes.Probe) error {
	matrix, err := probes.Grid{From: []*harness.Node{from}, To: []probes.Target{to}, Probes: []probes.Probe{p}, Watch: true}.Survey(ctx)
	if err != nil {
		return err
	}
	s.cell, s.surveyed = matrix.Cell(from.String(), to.String()), matrix.Results(from.String(), to.String())
	return nil
}

// surveyAll has every end ask every other, with a probe of another kind as well: first
// unwatched, or first watched.
func (w *world) surveyAll(ctx context.Context, lab *harness.Lab, p probes.Probe, s *said) error {
	grid := probes.Grid{Probes: []probes.Probe{p, w.probe(ask{kind: icmp})}}
	for _, name := range w.surveyed() {
		grid.From, grid.To = append(grid.From, lab.Node(name)), append(grid.To, lab.Node(name))
	}
	ways := []bool{false, true}
	if w.seed%2 == 0 {
		slices.Reverse(ways)
	}
	for _, grid.Watch = range ways {
		matrix, err := grid.Survey(ctx)
		if err != nil {
			return err
		}
		i := map[bool]int{false: 0, true: 1}[grid.Watch]
		for _, from := range w.surveyed() {
			for _, to := range w.surveyed() {
				s.all[i] = append(s.all[i], matrix.Results(from, to)...)
			}
		}
	}
	return nil
}

// surveyed are the ends that a survey asks: not so many that it takes long.
func (w *world) surveyed() []string {
	var names []string
	for _, n := range w.nodes {
		if slices.ContainsFunc(n.ports, func(p port) bool { return len(p.at) > 0 }) {
			names = append(names, n.name)
		}
	}
	return names[:min(5, len(names))]
}
