package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
)

// WatchSurvey is Survey under watch: a cell that is not ok is the cause and where
// it is, drop@fw, and the matrix ends with what the causes are.
func WatchSurvey(ctx context.Context, lab *harness.Lab, probes ...Probe) (*Matrix, error) {
	grid := Grid{From: lab.Nodes(), Probes: probes, Watch: true}
	for _, node := range grid.From {
		grid.To = append(grid.To, node)
	}
	return grid.Survey(ctx)
}

// watchAll asks all tasks under one watch.
func (g Grid) watchAll(tasks []*task) error {
	return watchTasks(g.From[0].Lab(), "probes/survey", g.labNodes(), g.Probes, tasks)
}

// watchTasks asks all tasks under one watch, which the failure bundle has by that name.
func watchTasks(lab *harness.Lab, name string, nodes []*harness.Node, probes []Probe, tasks []*task) error {
	watch, err := watch.Open(nodes, flowsOf(probes)...)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(tasks, maxInFlight) {
		if err = watchChunk(watch, chunk); err != nil {
			break
		}
	}
	err = errors.Join(err, watch.Close())
	keep(lab, watch, name, func(w io.Writer) error {
		var results []Result
		for _, t := range tasks {
			results = append(results, t.result)
		}
		return tell(w, results)
	})
	return err
}

// labNodes are the nodes of all labs that the grid is of.
func (g Grid) labNodes() (nodes []*harness.Node) {
	seen := map[*harness.Lab]bool{}
	add := func(node *harness.Node) {
		if node != nil && !seen[node.Lab()] {
			seen[node.Lab()] = true
			nodes = append(nodes, node.Lab().Nodes()...)
		}
	}
	for _, from := range g.From {
		add(from)
	}
	for _, to := range g.To {
		add(nodeOf(to))
	}
	return nodes
}

// watchChunk asks at once, as far as the watch has room for what begins.
func watchChunk(watch *watch.Watch, chunk []*task) error {
	errs := make([]error, len(chunk))
	room := make(chan struct{}, watch.Room())
	var asking sync.WaitGroup
	for i, t := range chunk {
		room <- struct{}{}
		asking.Go(func() {
			passed := sync.OnceFunc(func() { <-room })
			defer passed()
			if err := t.askUnder(watch, passed); err != nil {
				errs[i] = t.failure(err)
			}
		})
	}
	asking.Wait()
	return firstError(errs...)
}

// legend tells what the causes of a matrix are, a line each.
func (m *Matrix) legend() string {
	var lines []string
	for _, results := range m.results {
		for _, r := range results {
			if r.Cause == nil || cellWord(r) == Refused.String() && r.Cause.Kind == evidence.NoListener {
				continue
			}
			line := fmt.Sprintf("# %s: %s\n", cellWord(r), *r.Cause)
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
