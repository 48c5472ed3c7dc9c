package probes

import (
	"context"
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"
)

// RefusalMatcher is what BeRefusedBy and BeRejectedBy return.
type RefusalMatcher struct {
	name    string
	outcome Outcome
	node    string // who is to say no
	target  Target
	probes  []Probe
	ctx     context.Context
	by      string
	control control
	last    []Result
}

var _ types.GomegaMatcher = (*RefusalMatcher)(nil)

// BeRefusedBy says that the target itself says no: the reset, or the ICMP error of
// a port that nobody has, was seen leaving it. Without probes it asks with ICMP,
// which no port refuses. The actual is the node that asks, or a Result of Watch.
//
// It is false when the target answered, and an error when something else came of
// it: a reset that somebody on the way sent, silence.
func BeRefusedBy(target Target, probes ...Probe) *RefusalMatcher {
	return &RefusalMatcher{
		name: "BeRefusedBy", outcome: Refused, node: ownerName(target),
		target: target, probes: probes, ctx: context.Background(),
	}
}

// BeRejectedBy says that a node on the way says no: the ICMP error, or the reset
// that the target never sent, was seen leaving it first. The actual is as with
// BeRefusedBy, and so is what it is when something else came of it.
func BeRejectedBy(node string, target Target, probes ...Probe) *RefusalMatcher {
	return &RefusalMatcher{
		name: "BeRejectedBy", outcome: Rejected, node: node,
		target: target, probes: probes, ctx: context.Background(),
	}
}

// By names the rule that is to say no, as with BeIsolatedFrom.
func (m *RefusalMatcher) By(rule string) *RefusalMatcher {
	m.by = rule
	return m
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *RefusalMatcher) WithContext(ctx context.Context) *RefusalMatcher {
	m.ctx = ctx
	return m
}

// Match asks under watch, unless the actual is a Result.
func (m *RefusalMatcher) Match(actual any) (bool, error) {
	results, err := watchedResults(m.ctx, m.name, actual, m.target, m.probes)
	if err != nil {
		return false, err
	}
	if err := knownNode(m.name, m.node, actual, m.target); err != nil {
		return false, err
	}
	m.last = results
	holds, err := verdict(results, m.objection, func() string {
		return fmt.Sprintf("%s is not shown to be %s by %s when it asks %s", results[0].From, m.outcome, m.node, targetName(m.target))
	})
	if holds && (m.outcome == Rejected || m.control == must) {
		err = m.control.confirm(m.ctx, results)
	}
	return holds && err == nil, err
}

// objection is why a result is not the refusal; reached is true when the target
// answered.
func (m *RefusalMatcher) objection(r Result) (why string, reached bool) {
	switch {
	case r.Outcome == Answered && !r.wrongOwner():
		return fmt.Sprintf("%s was reached", r.To), true
	case r.Outcome == Answered:
		return fmt.Sprintf("%s was answered by %s", r.Addr, r.By), false
	case r.Cause == nil:
		return "the Result is not of a probe under watch: use probes.Watch", false
	case r.Outcome != m.outcome:
		return r.Cause.String(), false
	case !r.Proven:
		return "who says so was not seen", false
	case r.By != m.node:
		return fmt.Sprintf("%s says so, not %s", r.By, m.node), false
	case m.by != "" && !r.Cause.Is(m.by):
		return fmt.Sprintf("%s: not by %q", *r.Cause, m.by), false
	}
	return "", false
}

// FailureMessage is for a target that answered.
func (m *RefusalMatcher) FailureMessage(any) string {
	return report(m.last, fmt.Sprintf("is not %s by %s when it asks %s", m.outcome, m.node, targetName(m.target)))
}

// NegatedFailureMessage is for a NotTo that was refused.
func (m *RefusalMatcher) NegatedFailureMessage(any) string {
	return report(m.last, fmt.Sprintf("is %s by %s when it asks %s", m.outcome, m.node, targetName(m.target)))
}

// ownerName is the node that a target is of; "" for an address.
func ownerName(t Target) string {
	if node := nodeOf(t); node != nil {
		return node.Name()
	}
	return ""
}

// verdict is true when there is no objection to any result, false when the target
// answered every probe, and an error otherwise.
func verdict(results []Result, objection func(Result) (string, bool), title func() string) (bool, error) {
	answered, objections := 0, 0
	var lines []string
	for _, r := range results {
		why, reached := objection(r)
		lines = append(lines, "  "+r.String())
		if why != "" {
			objections++
			lines = append(lines, "    "+why, seen(r))
		}
		if reached {
			answered++
		}
	}
	switch {
	case objections == 0:
		return true, nil
	case answered == len(results):
		return false, nil
	}
	return false, fmt.Errorf("%s:\n%s", title(), strings.Join(lines, "\n"))
}

// report tells all results with what is behind them.
func report(results []Result, how string) string {
	var text strings.Builder
	for i, r := range results {
		if i == 0 {
			fmt.Fprintf(&text, "%s %s:\n", r.From, how)
		}
		fmt.Fprintf(&text, "  %s\n", r)
		if r.Cause != nil {
			fmt.Fprintf(&text, "    %s\n", *r.Cause)
		}
		fmt.Fprintf(&text, "%s\n", seen(r))
	}
	return strings.TrimRight(text.String(), "\n")
}
