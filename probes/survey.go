package probes

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// Survey asks every node of the lab about every other, all at once, and returns
// who reached whom. Without probes it asks with ICMP. See Grid to choose.
func Survey(ctx context.Context, lab *harness.Lab, probes ...Probe) (*Matrix, error) {
	grid := Grid{From: lab.Nodes(), Probes: probes}
	for _, node := range grid.From {
		grid.To = append(grid.To, node)
	}
	return grid.Survey(ctx)
}

// Grid is a survey of chosen nodes and targets. A node is not asked about itself.
type Grid struct {
	From   []*harness.Node
	To     []Target
	Probes []Probe // none is ICMP
}

// task is one probe of a survey.
type task struct {
	asking
	row, col int
}

// Survey asks, and returns the matrix. The error is for what could not be asked,
// as with Ask; then there is no matrix.
func (g Grid) Survey(ctx context.Context) (*Matrix, error) {
	if len(g.Probes) == 0 {
		g.Probes = []Probe{ICMP()}
	}
	tasks, err := g.tasks(ctx)
	if err == nil {
		err = enoughNeighbours(tasks)
	}
	if err == nil {
		err = askAll(ctx, tasks)
	}
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	var rows, cols []string
	for _, from := range g.From {
		rows = append(rows, from.Name())
	}
	for _, to := range g.To {
		cols = append(cols, to.String())
	}
	matrix := newMatrix(rows, cols)
	cells := map[[2]int][]Result{}
	for _, t := range tasks {
		cells[[2]int{t.row, t.col}] = append(cells[[2]int{t.row, t.col}], t.result)
	}
	for at, results := range cells {
		matrix.set(at[0], at[1], results)
	}
	return matrix, nil
}

func (g Grid) tasks(ctx context.Context) ([]*task, error) {
	for _, p := range g.Probes {
		if err := p.check(); err != nil {
			return nil, err
		}
	}
	var tasks []*task
	for row, from := range g.From {
		for col, to := range g.To {
			if to == Target(from) {
				continue
			}
			if e, ok := to.(harness.Endpoint); ok && e.Node == from {
				continue
			}
			addrs, name, err := addresses(from, to)
			if err != nil {
				return nil, err
			}
			for _, p := range g.Probes {
				for _, addr := range addrs {
					t := &task{row: row, col: col}
					t.asking = asking{ctx: ctx, from: from, addr: addr, probe: p}
					t.result = Result{From: from.Name(), To: name, Addr: addr, Probe: p, target: targetNode(to)}
					tasks = append(tasks, t)
				}
			}
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
	rounds := map[roundKey]*round{}
	var order []*round
	for _, t := range tasks {
		if t.probe.kind != kindICMP {
			single = append(single, t)
			continue
		}
		key := roundKey{t.from, t.addr.Is6()}
		if rounds[key] == nil {
			rounds[key] = &round{roundKey: key}
			order = append(order, rounds[key])
		}
		rounds[key].tasks = append(rounds[key].tasks, t)
	}
	if err := askRounds(ctx, order); err != nil {
		return err
	}
	for chunk := range slices.Chunk(single, maxInFlight) {
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
	fds := make([]int, len(chunk))
	for i := range fds {
		fds[i] = -1
	}
	var nodes []*harness.Node
	of := map[*harness.Node][]int{}
	for i, t := range chunk {
		if of[t.from] == nil {
			nodes = append(nodes, t.from)
		}
		of[t.from] = append(of[t.from], i)
	}
	err := harness.Visit(nodes, func(node *harness.Node) error {
		for _, i := range of[node] {
			kind := unix.SOCK_STREAM
			if chunk[i].probe.kind == kindUDP {
				kind = unix.SOCK_DGRAM
			}
			fd, err := openSocket(chunk[i].addr.Is6(), kind, 0)
			if err != nil {
				return err
			}
			fds[i] = fd
		}
		return nil
	})
	if err != nil {
		for _, fd := range fds {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
		}
		return err
	}
	errs := make([]error, len(chunk))
	var asking sync.WaitGroup
	for i, t := range chunk {
		asking.Go(func() {
			if t.probe.kind == kindTCP {
				errs[i] = t.tcp(fds[i])
			} else {
				errs[i] = t.udp(fds[i])
			}
		})
	}
	asking.Wait()
	return firstError(errs...)
}
