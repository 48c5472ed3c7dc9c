package probes

import (
	"context"
	"errors"
	"fmt"

	"github.com/nstest/nstest/harness"
)

var (
	errNoContext = errors.New("the context is nil: pass t.Context(), a SpecContext, or context.Background()")
	errNoMatcher = errors.New("the matcher is nil: pass what BeIsolatedFrom, BeUnansweredBy, BeRefusedBy or BeRejectedBy returns")
	errNoLab     = errors.New("the lab is nil: pass what harness.Up returns")
)

// isNone says whether a node is nil, or the zero Node, which is in no lab.
func isNone(node *harness.Node) bool { return node.Lab() == nil }

// asks says what keeps a node from asking anything.
func asks(ctx context.Context, from *harness.Node) error {
	switch {
	case ctx == nil:
		return errNoContext
	case isNone(from):
		return errors.New("no node to ask from")
	}
	return nil
}

// gridOf is the grid of all nodes of a lab.
func gridOf(lab *harness.Lab, probes []Probe) (Grid, error) {
	if lab == nil {
		return Grid{}, fmt.Errorf("survey: %w", errNoLab)
	}
	grid := Grid{From: lab.Nodes(), Probes: probes}
	for _, node := range grid.From {
		grid.To = append(grid.To, node)
	}
	return grid, nil
}
