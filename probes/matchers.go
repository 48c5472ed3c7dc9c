package probes

import (
	"context"
	"fmt"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/onsi/gomega/types"
)

// ReachMatcher is what Reach returns.
type ReachMatcher struct {
	target Target
	probes []Probe
	ctx    context.Context
}

var _ types.GomegaMatcher = (*ReachMatcher)(nil)

// Reach says yes: the target itself answered every probe, at every address that
// both ends have. Without probes it asks with ICMP. The actual is the node that
// asks, or a Result already asked for.
//
// An answer counts as the target's when it is signed by it (see Serve), or when
// no other node of the lab has the address that it came from.
//
// Where it does not hold it is an error, not false: so NotTo(Reach(...)) fails
// as well, and a network that is merely broken proves no isolation. To say no, use
// BeIsolatedFrom, BeRefusedBy or BeRejectedBy. The message has what the probe
// comes to once more, under watch.
func Reach(target Target, probes ...Probe) *ReachMatcher {
	return &ReachMatcher{target, probes, context.Background()}
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *ReachMatcher) WithContext(ctx context.Context) *ReachMatcher {
	m.ctx = ctx
	return m
}

// Match asks, unless the actual is a Result; it is true, or an error that says
// what came instead.
func (m *ReachMatcher) Match(actual any) (bool, error) {
	if _, err := nameOf(m.target); err != nil {
		return false, fmt.Errorf("Reach: %w", err)
	}
	switch actual := actual.(type) {
	case *harness.Node:
		if actual == nil {
			return false, fmt.Errorf("Reach: the node that asks is nil")
		}
		probes := m.probes
		if len(probes) == 0 {
			probes = []Probe{ICMP()}
		}
		for _, p := range probes {
			result, err := Ask(m.ctx, actual, m.target, p)
			if err != nil {
				return false, err
			}
			if err := m.judge(result); err != nil {
				return false, watchOnPrint(m.ctx, err, actual, m.target, p)
			}
		}
		return true, nil
	case Result:
		if err := concerns(actual, m.target, m.probes); err != nil {
			return false, fmt.Errorf("Reach: %w", err)
		}
		if err := m.judge(actual); err != nil {
			return false, err
		}
		return true, nil
	}
	return false, fmt.Errorf("Reach wants the *harness.Node that asks, or a probes.Result; it got a %T", actual)
}

// concerns returns an error unless a Result is one of a matcher's questions:
// that another target answered, or another probe, says nothing.
func concerns(r Result, target Target, probes []Probe) error {
	if r.Outcome == 0 {
		return fmt.Errorf("the zero Result: nothing was asked")
	}
	if want := targetName(target); r.To != want {
		return fmt.Errorf("the Result is about %s, not about %s", r.To, want)
	}
	if want := nodeOf(target); r.target != want {
		return fmt.Errorf("the Result is about another node that is called %s", want)
	}
	for _, p := range probes {
		if !p.like(r.Probe) {
			return fmt.Errorf("the Result is about %s, not about %s", r.Probe, p)
		}
	}
	return nil
}

// judge returns an error unless the target answered at every address.
func (m *ReachMatcher) judge(result Result) error {
	var lines []string
	failed := false
	for _, r := range result.All() {
		lines = append(lines, "  "+r.String())
		why := m.objection(r)
		if why != "" {
			failed = true
			lines = append(lines, "    "+why)
		}
	}
	if !failed {
		return nil
	}
	return fmt.Errorf("%s does not reach %s with %s:\n%s\n"+
		"(NotTo(Reach(...)) cannot hold either: to say no, use BeIsolatedFrom, BeRefusedBy or BeRejectedBy)",
		result.From, targetName(m.target), result.Probe, strings.Join(lines, "\n"))
}

// objection is why a result does not show that the target answered; "" when it does.
func (m *ReachMatcher) objection(r Result) string {
	want := nodeOf(m.target)
	switch {
	case r.Outcome != Answered:
		return r.explain()
	case want == nil || sameNode(r.by, want): // an address is whoever's it is
		return ""
	case r.By != "":
		return fmt.Sprintf("%s was answered by %s, not by %s", r.Addr, r.By, want)
	case len(r.owners) == 0:
		return "" // a lab that does not know its addresses: an attached node's
	}
	return fmt.Sprintf("%s is the address of several nodes, and nobody signed: serve the port at %s with probes.Serve", r.Addr, want)
}

// explain adds to an outcome what a reader may not think of.
func (r Result) explain() string {
	switch r.Outcome {
	case Refused:
		if r.ICMP == nil {
			return "nobody listens there, or a rule resets connections"
		}
		return "nobody has the port"
	case Rejected:
		return "somebody on the way says no"
	case Silent:
		return r.Probe.kind.silence
	}
	return "nothing was sent"
}

func targetName(t Target) string {
	if t == nil {
		return "nobody"
	}
	return t.String()
}

// FailureMessage is not called: what does not hold is an error.
func (m *ReachMatcher) FailureMessage(any) string {
	return "does not reach " + targetName(m.target)
}

// NegatedFailureMessage is for a NotTo whose target does answer.
func (m *ReachMatcher) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("%v does reach %s; and NotTo(Reach(...)) could never hold: to say no, use BeIsolatedFrom, BeRefusedBy or BeRejectedBy",
		actual, targetName(m.target))
}

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
