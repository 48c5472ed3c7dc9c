package probes

import (
	"context"
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"
)

// MatchMatrix compares a Matrix with a table in the test: a line of column
// names, then a line for each row, in any order. "." is not compared. "silent"
// is an error: that nothing came back is no evidence of anything.
func MatchMatrix(text string) types.GomegaMatcher { return &matrixMatcher{text: text} }

type matrixMatcher struct {
	text      string
	want      *expectation
	got       *Matrix
	differing []difference
}

// Match is false when a cell differs. An error is for an actual that is no
// matrix, a text that is no table, and names that only one of them has.
func (m *matrixMatcher) Match(actual any) (bool, error) {
	matrix, ok := actual.(*Matrix)
	switch {
	case !ok:
		return false, fmt.Errorf("MatchMatrix wants a *probes.Matrix; it got a %T", actual)
	case matrix == nil:
		return false, fmt.Errorf("MatchMatrix wants a *probes.Matrix; it got a nil one")
	}
	want, err := parseMatrix(m.text)
	if err != nil {
		return false, fmt.Errorf("MatchMatrix: %w", err)
	}
	differing, err := want.compare(matrix)
	if err != nil {
		return false, fmt.Errorf("MatchMatrix: %w", err)
	}
	m.want, m.got, m.differing = want, matrix, differing
	if len(differing) > 0 {
		return false, nil
	}
	if err := ifAsked.confirm(context.Background(), want.policies(matrix)); err != nil {
		return false, fmt.Errorf("MatchMatrix: %w", err)
	}
	return true, nil
}

// FailureMessage has what was expected, what was observed, and the differing
// cells with what is behind them.
func (m *matrixMatcher) FailureMessage(any) string {
	var text strings.Builder
	fmt.Fprintf(&text, "expected\n%s\nobserved\n%s\ndiffering\n", indent(m.want.String()), indent(m.got.String()))
	for _, d := range m.differing {
		fmt.Fprintf(&text, "  %s -> %s: expected %s, observed %s\n", d.from, d.to, d.want, d.got)
		for _, r := range d.results {
			fmt.Fprintf(&text, "    %s\n", r)
		}
	}
	return strings.TrimRight(text.String(), "\n")
}

// NegatedFailureMessage is for a NotTo whose matrix does match.
func (m *matrixMatcher) NegatedFailureMessage(any) string {
	return "expected another matrix than\n" + indent(m.got.String())
}

// String is the expectation as a table.
func (e *expectation) String() string {
	shown := newMatrix(e.rows, e.cols)
	return shown.table(func(row, col int) string { return e.cells[row][col] })
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
