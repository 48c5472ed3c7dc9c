package probes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/onsi/gomega/types"
)

// IsolationMatcher is what BeIsolatedFrom returns.
type IsolationMatcher struct {
	target  Target
	probes  []Probe
	ctx     context.Context
	at, by  string
	because evidence.Kind
	control control
	last    []Result
}

var _ types.GomegaMatcher = (*IsolationMatcher)(nil)

// BeIsolatedFrom says no: every probe, at every address that both ends have, left
// the asker and was stopped by a policy, which the evidence names: a rule, a
// chain's policy, a blackhole, unreachable or prohibit route, a route or
// forwarding that a router lacks, an isolated port of a bridge. Without probes it
// asks with ICMP. The actual is the node that asks, or a Result of Watch.
//
// What looks like a mistake in the test (a link that is down, nobody listening, an
// address that is missing) is an error that names it, unless Because expects just
// that. So is what the evidence does not account for. It is false, and
// NotTo(BeIsolatedFrom(...)) holds, only when the target itself answered.
func BeIsolatedFrom(target Target, probes ...Probe) *IsolationMatcher {
	return &IsolationMatcher{target: target, probes: probes, ctx: context.Background()}
}

// At names the node that is to be where it stops.
func (m *IsolationMatcher) At(node string) *IsolationMatcher {
	m.at = node
	return m
}

// By names what is to stop it: a rule by its exact comment or text, or a chain's
// policy as "policy inet filter forward".
func (m *IsolationMatcher) By(rule string) *IsolationMatcher {
	m.by = rule
	return m
}

// Because expects a cause of that kind, a policy or not.
func (m *IsolationMatcher) Because(kind evidence.Kind) *IsolationMatcher {
	m.because = kind
	return m
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *IsolationMatcher) WithContext(ctx context.Context) *IsolationMatcher {
	m.ctx = ctx
	return m
}

// Match asks under watch, unless the actual is a Result.
func (m *IsolationMatcher) Match(actual any) (bool, error) {
	results, err := watchedResults(m.ctx, "BeIsolatedFrom", actual, m.target, m.probes)
	if err != nil {
		return false, err
	}
	if err := knownNode("BeIsolatedFrom: At", m.at, actual, m.target); err != nil {
		return false, err
	}
	m.last = results
	holds, err := verdict(results, m.objection, func() string {
		return fmt.Sprintf("%s is not shown to be isolated from %s", results[0].From, targetName(m.target))
	})
	if holds {
		err = m.control.confirm(m.ctx, results)
	}
	return holds && err == nil, err
}

// knownNode is an error when a name is no node's: it could not hold, for want of
// the right name.
func knownNode(what, name string, actual any, target Target) error {
	node, ok := actual.(*harness.Node)
	if name == "" || !ok {
		return nil
	}
	var names []string
	for _, n := range watchedNodes(node, target) {
		names = append(names, n.Name())
	}
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("%s: lab %s has no node %q; it has: %s", what, node.Lab().Name(), name, strings.Join(names, ", "))
}

// objection is why a result does not show the isolation; reached is true when the
// target answered.
func (m *IsolationMatcher) objection(r Result) (why string, reached bool) {
	switch {
	case r.Outcome == Answered && r.wrongOwner():
		return fmt.Sprintf("%s was answered by %s", r.Addr, r.By), false
	case r.Outcome == Answered:
		return fmt.Sprintf("%s was reached", r.To), true
	case r.Cause == nil:
		return "the Result is not of a probe under watch: use probes.Watch", false
	}
	c := *r.Cause
	switch {
	case c.Kind == evidence.Unknown:
		return c.String(), false
	case m.because != "" && c.Kind != m.because:
		return fmt.Sprintf("%s: not because of %s", c, m.because), false
	case m.because == "" && !c.Policy():
		return fmt.Sprintf("%s: no policy, but the network that is broken (Because(%q) would expect it)", c, c.Kind), false
	case m.at != "" && c.Node != m.at:
		return fmt.Sprintf("%s: not at %s", c, m.at), false
	case m.by != "" && !c.Is(m.by):
		return fmt.Sprintf("%s: not by %q", c, m.by), false
	}
	return "", false
}

// seen is a result's timeline for a message.
func seen(r Result) string {
	return "    seen of it:\n" + indent(indent(indent(r.Timeline.String())))
}

// watchedResults asks every probe under watch, or takes the Result that was asked
// for already; one for each address.
func watchedResults(ctx context.Context, matcher string, actual any, target Target, probes []Probe) ([]Result, error) {
	if _, err := nameOf(target); err != nil {
		return nil, fmt.Errorf("%s: %w", matcher, err)
	}
	var results []Result
	switch actual := actual.(type) {
	case *harness.Node:
		if actual == nil {
			return nil, fmt.Errorf("%s: the node that asks is nil", matcher)
		}
		if len(probes) == 0 {
			probes = []Probe{ICMP()}
		}
		for _, p := range probes {
			r, err := Watch(ctx, actual, target, p)
			if err != nil {
				return nil, err
			}
			results = append(results, r.all()...)
		}
		return results, nil
	case Result:
		if err := concerns(actual, target, probes); err != nil {
			return nil, fmt.Errorf("%s: %w", matcher, err)
		}
		return actual.all(), nil
	}
	return nil, fmt.Errorf("%s wants the *harness.Node that asks, or a probes.Result; it got a %T", matcher, actual)
}

// FailureMessage is for a target that answered.
func (m *IsolationMatcher) FailureMessage(any) string {
	return report(m.last, "is not isolated from "+targetName(m.target))
}

// NegatedFailureMessage is for a NotTo that was isolated.
func (m *IsolationMatcher) NegatedFailureMessage(any) string {
	return report(m.last, "is isolated from "+targetName(m.target))
}
