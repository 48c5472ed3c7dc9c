package probes

import (
	"context"
	"fmt"

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
	named   named
	control control
	last    []finding
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

// By names the rules that are to say no, as with BeIsolatedFrom.
func (m *RefusalMatcher) By(names ...string) *RefusalMatcher {
	m = m.here()
	addNames(&m.named, "By", &m.named.by, names)
	return m
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *RefusalMatcher) WithContext(ctx context.Context) *RefusalMatcher {
	m = m.here()
	m.ctx = ctx
	return m
}

// Match asks under watch, unless the actual is a Result.
func (m *RefusalMatcher) Match(actual any) (bool, error) {
	m = m.here()
	from, err := askerOf(m.ctx, m.name, actual, m.target)
	if err == nil || m.named.wrong != nil {
		err = m.named.check(m.name, from, m.target)
	}
	if err == nil && (m.node != "" || m.outcome == Rejected) {
		err = knownNode(m.name, m.node, from, m.target)
	}
	if err != nil {
		return false, err
	}
	results, err := watchedResults(m.ctx, m.name, actual, m.target, m.probes)
	if err != nil {
		return false, err
	}
	m.last = nil
	for _, r := range results {
		m.last = append(m.last, finding{Result: r})
	}
	j := judgement{findings: m.last, judge: m.judge, named: &m.named}
	ok, err := j.of(m.title, m.expected)
	if ok && (m.outcome == Rejected || m.control == must) {
		err = m.control.confirm(m.ctx, results)
	}
	return ok && err == nil, err
}

func (m *RefusalMatcher) title() string {
	return fmt.Sprintf("%s asks %s, and is not shown to be %s by %s", m.last[0].From, targetName(m.target), m.outcome, m.who())
}

func (m *RefusalMatcher) expected() string {
	return fmt.Sprintf("every probe is %s by %s%s", m.outcome, m.who(), m.named.String())
}

// who is to say no.
func (m *RefusalMatcher) who() string {
	if m.node == "" {
		return "who has the address"
	}
	return m.node
}

// judge says what a result shows.
func (m *RefusalMatcher) judge(f finding) (standing, objection) {
	switch {
	case f.Outcome == Answered && !f.wrongOwner():
		return fails, objection{f.To + " was reached", ""}
	case f.Outcome == Answered:
		return unclear, objection{fmt.Sprintf("%s was answered by %s", f.Addr, f.By), ""}
	case f.Cause == nil:
		return unclear, objection{"the Result is not of a probe under watch: use probes.Watch", ""}
	case f.Outcome != m.outcome:
		return unclear, objection{fmt.Sprintf("it was %s, not %s: %s", f.Outcome, m.outcome, *f.Cause), ""}
	case !f.Proven:
		return unclear, objection{"who says so was not seen", ""}
	case m.node != "" && f.By != m.node:
		return unclear, objection{fmt.Sprintf("%s says so, not %s", f.By, m.node), ""}
	}
	if why := m.named.objection(*f.Cause); why != "" {
		return unclear, objection{fmt.Sprintf("%s: %s", *f.Cause, why), ""}
	}
	return holds, objection{}
}

// FailureMessage is for a target that answered.
func (m *RefusalMatcher) FailureMessage(any) string {
	m = m.here()
	return report(m.last, fmt.Sprintf("asks %s, and is not %s by %s", targetName(m.target), m.outcome, m.who()))
}

// NegatedFailureMessage is for a NotTo that was refused.
func (m *RefusalMatcher) NegatedFailureMessage(any) string {
	m = m.here()
	return report(m.last, fmt.Sprintf("asks %s, and is %s by %s", targetName(m.target), m.outcome, m.who()))
}

// ownerName is the node that a target is of; "" for an address.
func ownerName(t Target) string {
	if node := nodeOf(t); node != nil {
		return node.Name()
	}
	return ""
}
