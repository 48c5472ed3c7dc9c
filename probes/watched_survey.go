package probes

import (
	"context"
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
	grid, err := gridOf(lab, probes)
	if err != nil {
		return nil, err
	}
	grid.Watch = true
	return grid.Survey(ctx)
}

// watchAll asks all tasks under one watch.
func (g Grid) watchAll(tasks []*task) error {
	return watchTasks("probes/survey", g.labs(), tasks)
}

// prove asks once more, under watch, what somebody has answered who neither signed nor
// was seen: by an address alone it may have been anybody.
func (g Grid) prove(tasks []*task) error {
	var unsure []*task
	for _, t := range tasks {
		r := t.result
		if r.Outcome != Answered || r.sure() || len(t.expected()) == 0 {
			continue
		}
		t.asking = asking{ctx: t.ctx, from: t.from, addr: t.addr, scope: t.scope, probe: t.probe, labs: t.labs, owners: t.owners}
		t.result = Result{From: r.From, To: r.To, Addr: r.Addr, Probe: r.Probe, from: r.from, target: r.target}
		unsure = append(unsure, t)
	}
	return watchTasks("probes/unsigned", g.labs(), unsure)
}

// watchTasks asks all tasks under the watch of the labs; the failure bundle of the first has
// them by that name.
func watchTasks(name string, labs []*harness.Lab, tasks []*task) error {
	if len(tasks) == 0 {
		return nil // no two have a family in common
	}
	w, err := watchOf(tasks[0].from, labs...)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(tasks, maxInFlight) {
		if err = watchChunk(w, chunk); err != nil {
			break
		}
	}
	labs[0].OnFailure(name+".txt", func(w io.Writer) error {
		var results []Result
		for _, t := range tasks {
			results = append(results, t.result)
		}
		return tell(w, results)
	})
	return err
}

// labs are those that the grid is of.
func (g Grid) labs() (labs []*harness.Lab) {
	add := func(node *harness.Node) {
		if node != nil && !slices.Contains(labs, node.Lab()) {
			labs = append(labs, node.Lab())
		}
	}
	for _, from := range g.From {
		add(from)
	}
	for _, to := range g.To {
		add(nodeOf(to))
	}
	return labs
}

// watchChunk asks at once, as far as the watch has room for what begins. Those of which
// something was lost for want of space are asked again, fewer at once, and at last alone.
func watchChunk(w *watch.Watch, chunk []*task) error {
	if err := watchWhole(w, chunk); err != nil {
		return err
	}
	return unmuteTasks(chunk, func(some []*task) error { return watchEach(w, some, w.Room()) })
}

func watchWhole(w *watch.Watch, chunk []*task) error {
	for room := w.Room(); ; {
		if err := watchAtOnce(w, chunk, room); err != nil || room == 1 {
			return err
		}
		chunk = slices.DeleteFunc(slices.Clone(chunk), func(t *task) bool { return !w.Lost(t.watched.trail) })
		if len(chunk) == 0 {
			return nil
		}
		room = max(1, min(room, len(chunk))/fewer)
		for _, t := range chunk {
			t.asking = t.afresh()
		}
	}
}

// fewer is by how much fewer are asked at once, where something was lost.
const fewer = 8

// atOnce is how many packets are sent at once: more only wait for each other, since who
// sends has the kernel take the packet all its way.
const atOnce = 4

// watchAtOnce asks so many at once.
func watchAtOnce(w *watch.Watch, chunk []*task, most int) error {
	echoes, others := echoesOf(chunk)
	if len(echoes) <= atOnce || most <= atOnce {
		return watchEach(w, chunk, most)
	}
	if err := watchEchoes(w, echoes, most); err != nil {
		return err
	}
	return watchEach(w, others, most)
}

// watchEach asks each by itself, so many at once.
func watchEach(w *watch.Watch, chunk []*task, most int) error {
	_ = openAll(chunk) // else each makes its own, or tells why it cannot
	defer closeUnused(chunk)
	errs := make([]error, len(chunk))
	room := make(chan struct{}, min(most, atOnce))
	var asking sync.WaitGroup
	for i, t := range chunk {
		room <- struct{}{}
		asking.Go(func() {
			if err := t.askUnder(w, sync.OnceFunc(func() { <-room })); err != nil {
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
