package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// Survey asks every node of the lab about every other, all at once, and returns
// who reached whom. Without probes it asks with ICMP. See Grid to choose.
func Survey(ctx context.Context, lab *harness.Lab, probes ...Probe) (*Matrix, error) {
	grid, err := gridOf(lab, probes)
	if err != nil {
		return nil, err
	}
	return grid.Survey(ctx)
}

// Grid is a survey of chosen nodes and targets. A node is not asked about itself.
type Grid struct {
	From   []*harness.Node
	To     []Target
	Probes []Probe // none is ICMP
	// Watch asks under watch: a cell that is not ok says what stopped the probe.
	Watch bool
}

// task is one probe of a survey.
type task struct {
	asking
	row, col int
	turn     int             // how many tasks of its round ask its address before it
	heard    []*harness.Node // where its echo request was delivered
	unsent   error           // why it could not be asked, of a round under watch
}

// failure is the task's error, with who was to ask whom.
func (t *task) failure(err error) error {
	r := t.result
	return fmt.Errorf("%s -> %s (%s) %s: %w", r.From, r.To, r.Addr, r.Probe, err)
}

// Survey asks, and returns the matrix. The error is for what could not be asked,
// as with Ask; then there is no matrix.
func (g Grid) Survey(ctx context.Context) (*Matrix, error) {
	if ctx == nil {
		return nil, fmt.Errorf("survey: %w", errNoContext)
	}
	if len(g.Probes) == 0 {
		g.Probes = []Probe{ICMP()}
	}
	rows, cols, err := g.names()
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	matrix := newMatrix(rows, cols)
	tasks, err := g.tasks(ctx, matrix)
	if err == nil {
		err = enoughNeighbours(tasks, neighbourLimit)
	}
	switch {
	case err != nil:
	case g.Watch:
		err = g.watchAll(tasks)
	case watch.Covering():
		err = g.askCovered(ctx, tasks)
	default:
		err = askAll(ctx, tasks)
	}
	if !g.Watch {
		err = crowdedAny(tasks, err)
	}
	if err == nil && !g.Watch {
		err = g.prove(tasks)
	}
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	var ways paths
	for _, t := range tasks {
		if g.Watch {
			if err := ways.explain(&t.result); err != nil {
				return nil, fmt.Errorf("survey: %w", err)
			}
		}
		cell := matrix.at(t.row, t.col)
		*cell = append(*cell, t.result)
	}
	return matrix, nil
}

// names are those of the rows and columns. One that stands for two would hide a
// row or column.
func (g Grid) names() (rows, cols []string, err error) {
	for _, from := range g.From {
		if isNone(from) {
			return nil, nil, fmt.Errorf("a node that asks is nil")
		}
		rows = append(rows, from.Name())
	}
	for _, to := range g.To {
		name, err := nameOf(to)
		if err != nil {
			return nil, nil, err
		}
		cols = append(cols, name)
	}
	if name, twice := repeated(rows); twice {
		return nil, nil, fmt.Errorf("two rows are called %s", name)
	}
	if name, twice := repeated(cols); twice {
		return nil, nil, fmt.Errorf("two columns are called %s", name)
	}
	return rows, cols, nil
}

// tasks are what is to be asked; pairs that have nothing to ask with are noted in the
// matrix.
func (g Grid) tasks(ctx context.Context, matrix *Matrix) ([]*task, error) {
	for _, p := range g.Probes {
		for _, from := range g.From {
			if err := p.checkAt(from); err != nil {
				return nil, err
			}
		}
	}
	var tasks []*task
	known := map[whose][]*harness.Node{}
	for row, from := range g.From {
		for col, to := range g.To {
			if nodeOf(to) == from {
				continue
			}
			pair, err := g.pair(ctx, from, to)
			if errors.Is(err, errNoFamily) {
				matrix.apart[matrix.place(row, col)] = true
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, t := range pair {
				key := whose{t.labs, t.addr}
				if _, looked := known[key]; !looked {
					known[key] = t.ownersOf(t.addr)
				}
				t.row, t.col, t.owners = row, col, known[key]
			}
			tasks = append(tasks, pair...)
		}
	}
	if len(tasks) == 0 && len(matrix.apart) == 0 {
		return nil, fmt.Errorf("there is nobody to ask, or nothing to ask about")
	}
	return tasks, nil
}

// whose is an address whose owners are looked up once, not for each asker.
type whose struct {
	labs [2]*harness.Lab
	addr netip.Addr
}

// pair is what one node asks about one target.
func (g Grid) pair(ctx context.Context, from *harness.Node, to Target) (tasks []*task, err error) {
	addrs, name, err := addresses(from, to)
	if err != nil {
		return nil, err
	}
	for _, p := range g.Probes {
		mine, err := p.among(from, name, addrs)
		if err != nil {
			return nil, err
		}
		for _, addr := range mine {
			t := new(task)
			if t.asking, err = newAsking(ctx, from, to, name, addr, p); err != nil {
				return nil, t.failure(err)
			}
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

// askAll asks all tasks: echo requests over one socket per node and family, the
// others over sockets of their own.
func askAll(ctx context.Context, tasks []*task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var single []*task
	for _, kind := range kinds {
		var same []*task
		for _, t := range tasks {
			switch {
			case t.probe.kind != kind:
			case kind.together == nil || t.probe.source != (source{}):
				single = append(single, t)
			default:
				same = append(same, t)
			}
		}
		if len(same) > 0 {
			if err := kind.together(ctx, same); err != nil {
				return err
			}
		}
	}
	if err := askEach(single); err != nil {
		return err
	}
	return unmuteTasks(tasks, askEach)
}

// askEach asks tasks over sockets of their own.
func askEach(tasks []*task) error {
	for chunk := range slices.Chunk(tasks, maxInFlight) {
		if err := askChunk(chunk); err != nil {
			return err
		}
	}
	return nil
}

// maxInFlight bounds the sockets that a survey holds at once.
const maxInFlight = 1024

// askChunk makes the sockets of TCP and UDP probes in one go, and asks.
func askChunk(chunk []*task) error {
	if err := openAll(chunk); err != nil {
		return err
	}
	errs := make([]error, len(chunk))
	var asking sync.WaitGroup
	for i, t := range chunk {
		asking.Go(func() { errs[i] = t.ask() })
	}
	asking.Wait()
	for i, err := range errs {
		if err != nil {
			return chunk[i].failure(err)
		}
	}
	return nil
}

// openAll makes a socket for each task, on one thread; on an error none is left.
func openAll(chunk []*task) error {
	var nodes []*harness.Node
	of := map[*harness.Node][]*task{}
	for _, t := range chunk {
		if of[t.from] == nil {
			nodes = append(nodes, t.from)
		}
		of[t.from] = append(of[t.from], t)
	}
	visit := func(node *harness.Node) error {
		for _, t := range of[node] {
			if t.probe.kind.socket == 0 || t.frame != nil {
				continue
			}
			fd, err := t.open()
			if err != nil {
				return t.failure(err)
			}
			t.made = &fd
		}
		return nil
	}
	var err error
	if len(nodes) == 1 { // whose thread is there
		err = nodes[0].Do(func() error { return visit(nodes[0]) })
	} else {
		err = harness.Visit(nodes, visit)
	}
	if err != nil {
		closeUnused(chunk)
	}
	return err
}

// closeUnused closes the sockets that nobody has taken.
func closeUnused(chunk []*task) {
	for _, t := range chunk {
		if t.made != nil {
			_ = unix.Close(*t.made)
			t.made = nil
		}
	}
}
