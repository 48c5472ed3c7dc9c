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

// ReachMatcher is what Reach returns.
type ReachMatcher struct {
	target Target
	probes []Probe
	ctx    context.Context
	by     *string // who is to answer; nil is the target
	// passage is what is asked of the request's way.
	passage passage
}

var _ types.GomegaMatcher = (*ReachMatcher)(nil)

// Reach says yes: the target itself answered every probe, at every address that
// both ends have. Without probes it asks with ICMP. The actual is the node that
// asks, or a Result already asked for.
//
// The target has answered when it signed (see Serve). What nobody signed is asked once
// more, under watch: over TCP the target has answered when the probe's own packets were
// followed to it and it has their connection, else when the answer was seen leaving it.
// Where a responder is to sign, nothing less will do, and of a probe with words (see
// Probe.Await) all has to come that it awaits. An address is the node's that has it
// when it is asked, whatever the plan says.
//
// Where it does not hold it is an error, not false: so NotTo(Reach(...)) fails
// as well, and a network that is merely broken proves no isolation. To say no, use
// BeIsolatedFrom, BeRefusedBy or BeRejectedBy. The message has what the probe
// comes to once more, under watch.
func Reach(target Target, probes ...Probe) *ReachMatcher {
	return &ReachMatcher{target: target, probes: probes, ctx: context.Background()}
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *ReachMatcher) WithContext(ctx context.Context) *ReachMatcher {
	m = m.here()
	m.ctx = ctx
	return m
}

// AnsweredBy names the node that is to answer in the target's place: who is behind a
// port that the target forwards.
func (m *ReachMatcher) AnsweredBy(node string) *ReachMatcher {
	m = m.here()
	m.by = &node
	return m
}

// Match asks, unless the actual is a Result; it is true, or an error that says
// what came instead.
func (m *ReachMatcher) Match(actual any) (bool, error) {
	m = m.here()
	from, err := askerOf(m.ctx, "Reach", actual, m.target)
	if m.target == nil {
		err = firstError(m.passage.wrong, err)
	}
	if err != nil {
		return false, err
	}
	if m.by != nil {
		if err := knownNode("Reach: AnsweredBy", *m.by, from, m.target); err != nil {
			return false, err
		}
	}
	if err := m.passage.check(from, m.target); err != nil {
		return false, err
	}
	if result, ok := actual.(Result); ok {
		if err := concerns(result, m.target, m.probes); err != nil {
			return false, fmt.Errorf("Reach: %w", err)
		}
		if result, err = m.prove(from, result); err == nil {
			err = m.judge(result)
		}
		return err == nil, err
	}
	probes := m.probes
	if len(probes) == 0 {
		probes = []Probe{ICMP()}
	}
	for _, p := range probes {
		if err := m.ask(from, p); err != nil {
			return false, err
		}
	}
	return true, nil
}

// ask asks one probe, and judges what came of it.
func (m *ReachMatcher) ask(from *harness.Node, p Probe) error {
	how := Ask
	if p.kind != nil && (p.kind.serve == nil || p.words != nil || !m.served(from, p)) || m.passage.asked() {
		how = Watch // nobody signs, or its way is asked for
	}
	result, err := how(m.ctx, from, m.target, p)
	if err != nil {
		return err
	}
	if result, err = m.prove(from, result); err != nil {
		return err
	}
	if err := m.judge(result); err != nil {
		return watchOnPrint(m.ctx, err, from, m.target, p)
	}
	return nil
}

// served says whether a responder for a probe is where the answer is to come from, or may
// be.
func (m *ReachMatcher) served(from *harness.Node, p Probe) bool {
	if node := nodeOf(m.target); node != nil {
		return isServed(node, p)
	}
	return slices.ContainsFunc(nodesOf(watchedLabs(from, m.target)), func(n *harness.Node) bool { return isServed(n, p) })
}

// prove asks once more, under watch, for what was answered by nobody knows whom.
func (m *ReachMatcher) prove(from *harness.Node, result Result) (Result, error) {
	bare := func(r Result) bool { return r.Outcome == Answered && !r.sure() && len(r.Timeline) == 0 }
	if result.kept || !slices.ContainsFunc(result.All(), bare) {
		return result, nil
	}
	return Watch(m.ctx, from, m.target, result.Probe)
}

// sure says whether By is more than inferred from an address.
func (r Result) sure() bool { return r.Proven || r.held }

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
	switch why := r.aimless(); {
	case why != "":
		return why
	case r.Outcome != Answered:
		return r.explain()
	case r.by == nil && r.By == "" && r.from.Attached() && m.by == nil && r.target == nil:
		return m.passage.objection(r) // an address of no lab that is known
	case !r.sure() || r.by == nil:
		if r.kept && len(r.Timeline) == 0 {
			return "who answered was not seen: use the connection's Watch"
		}
		return "who answered was not seen"
	}
	wanted, err := m.wanted(r)
	switch {
	case err != nil:
		return err.Error()
	case len(wanted) == 0: // an address that somebody answers for, and nobody has
	case !slices.ContainsFunc(wanted, func(n *harness.Node) bool { return sameNode(n, r.by) }):
		return fmt.Sprintf("%s was answered by %s, not by %s", r.Addr, r.By, names(wanted))
	case isServed(r.by, r.Probe) && !r.signed && r.Probe.words == nil:
		return fmt.Sprintf("%s has a responder for %s, which is to sign, and did not", r.By, r.Probe)
	}
	return m.passage.objection(r)
}

// wanted are the nodes of which one is to answer; none is whoever does.
func (m *ReachMatcher) wanted(r Result) ([]*harness.Node, error) {
	if m.by != nil {
		return slices.DeleteFunc(nodesOf(watchedLabs(r.from, m.target)), func(n *harness.Node) bool { return n.Name() != *m.by }), nil
	}
	if r.target != nil {
		return []*harness.Node{r.target}, nil
	}
	if r.Addr.IsLoopback() {
		return []*harness.Node{r.from}, nil
	}
	return owners(r.from.Lab(), r.Addr)
}

// explain adds to an outcome what a reader may not think of: its cause, where a watch has named it.
func (r Result) explain() string {
	if said := r.Outcome == Silent && (r.detail != "" || r.defers); r.Cause != nil && r.Cause.Kind != evidence.Unknown && !said {
		return r.Cause.String()
	}
	switch r.Outcome {
	case Silent:
		if r.detail != "" && r.Probe.words != nil {
			return "what was awaited did not come"
		}
		if r.defers {
			return "the target waits for data before it takes a connection: say words, the first by Send"
		}
		if r.detail != "" {
			return "a handshake alone is no connection"
		}
		return r.Probe.kind.silence
	case Refused:
		if r.ICMP == nil && r.connected {
			return "the target reset the connection, or a rule did"
		}
		if r.ICMP == nil {
			return "nobody listens there, or a rule resets connections"
		}
		return "nobody has the port"
	case Rejected:
		return "somebody on the way says no"
	}
	return "nothing was sent"
}

// FailureMessage is not called: what does not hold is an error.
func (m *ReachMatcher) FailureMessage(any) string {
	m = m.here()
	return "does not reach " + targetName(m.target)
}

// NegatedFailureMessage is for a NotTo whose target does answer.
func (m *ReachMatcher) NegatedFailureMessage(actual any) string {
	m = m.here()
	return fmt.Sprintf("%v does reach %s; and NotTo(Reach(...)) could never hold: to say no, use BeIsolatedFrom, BeRefusedBy or BeRejectedBy",
		actual, targetName(m.target))
}
