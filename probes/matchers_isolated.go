package probes

import (
	"context"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/onsi/gomega/types"
)

// IsolationMatcher is what BeIsolatedFrom and BeUnansweredBy return.
type IsolationMatcher struct {
	name    string
	leg     evidence.Role // which half is to be stopped
	target  Target
	probes  []Probe
	except  []Probe
	sampled int
	ctx     context.Context
	named   named
	control control
	bare    *bare // what was asked, without probes
	last    []finding
}

var _ types.GomegaMatcher = (*IsolationMatcher)(nil)

// BeIsolatedFrom says no: of every probe no request, nor a copy of one, was delivered in
// the target, and a policy, which the evidence names, ended the request on its way: a
// rule, a chain's policy, a blackhole, unreachable or prohibit route, a route or
// forwarding that a router was declared not to have, an isolated port of a bridge.
// Delivered means to a socket or to the kernel's own reply; the target's own input rules
// stand before that. The actual is the node that asks, or a Result of Watch.
//
// Without probes it asks with ICMP, at each port that the target listens at, at each port
// and from each source port that a rule on the way or at one of the ends names (of a
// range, its edges), and at a TCP and a UDP port that nobody has: with 100 probes at
// most. The message has what was asked and what was left out.
//
// A node is asked at every address that it has at this moment, but those of host scope
// (127/8, ::1), from every address of the asker's, and by every device that a program
// there may bind its socket to, and at up to 16 addresses of which rules make others, of those on
// the way (a forwarded port) and its own; node.On(segment) at those of one
// segment, and a netip.Addr is what it is. The address nearest to the asker, asked from the
// source that the asker's kernel takes, decides: a policy has to stop that probe, in every
// family that both have. At the other addresses it is enough that nothing is delivered;
// the message says why. It is not asked from addresses that the asker does not have, although
// a program there could (over IPv6 by IPV6_FREEBIND, over both by raw sockets).
//
// A rule that decides by what any program at the asker may choose isolates nobody. Where
// that is the source port, the probe is asked again from other ports: the edges of the rules'
// ranges, and what their masks tell apart, up to 12 more. Where it is the length, the traffic
// class, the TTL, options or extension headers, the payload, or the user, also in policy routing,
// and another choice could let the request in, it is an error that names the rule. What root
// alone may choose is not doubted: a mark, ICMP's type and code, flags of TCP. Nor is what the
// probe itself chose: From, FromInterface, FromPort, TTL, DSCP and UID.
//
// What looks like a mistake in the test (a link that is down, nobody listening, an
// address that is missing) is an error that names it, unless Because expects just
// that. So is what the evidence does not account for. It is false, and
// NotTo(BeIsolatedFrom(...)) holds, only when every probe was delivered. Where the
// request arrives and only its answer is stopped, BeUnansweredBy holds.
func BeIsolatedFrom(target Target, probes ...Probe) *IsolationMatcher {
	return &IsolationMatcher{name: "BeIsolatedFrom", leg: evidence.Request, target: target, probes: probes, ctx: context.Background()}
}

// BeUnansweredBy is the other half of no: what is sent arrives at the target, and a
// policy ends each answer on its way back. It is no isolation: who asks can still say
// something to the target. A rule that remembers counts as for BeIsolatedFrom: see Sampled.
// Without probes it asks with ICMP. The actual is the node that asks, or a Result of Watch. It is false when the target's answers came back, and an
// error when something else came of it.
func BeUnansweredBy(target Target, probes ...Probe) *IsolationMatcher {
	return &IsolationMatcher{name: "BeUnansweredBy", leg: evidence.Answer, target: target, probes: probes, ctx: context.Background()}
}

// At names the nodes where it is to stop: each result is at one of them, and
// each of them occurs. A name that is no node's is an error.
func (m *IsolationMatcher) At(nodes ...string) *IsolationMatcher {
	addNames(&m.named, "At", &m.named.at, nodes)
	return m
}

// By names what is to stop it: a rule by its exact comment or text, or a chain's
// policy as "policy inet filter forward"; see evidence.Cause.Is. Each result is by one
// of the names, and each of them occurs.
func (m *IsolationMatcher) By(names ...string) *IsolationMatcher {
	addNames(&m.named, "By", &m.named.by, names)
	return m
}

// Because expects causes of these kinds, policies or not: each result is of one of
// them, and each of them occurs.
func (m *IsolationMatcher) Because(kinds ...evidence.Kind) *IsolationMatcher {
	addNames(&m.named, "Because", &m.named.because, kinds)
	return m
}

// Except says "all but": these probes are asked as well, and the target is to answer
// them; all others are to be stopped.
func (m *IsolationMatcher) Except(probes ...Probe) *IsolationMatcher {
	m.except = append(m.except, probes...)
	return m
}

// Sampled says how many probes are enough where a rule that remembers has decided: a
// limit, a quota, a random number, a set that rules change, a count of connections. Without
// it what such a rule drops, or lets past another that drops it, is an error where another
// state of the rule would let it in. A rule that counts packets in turn (numgen inc) is asked
// until it begins again, whatever is said here. It is no help against a rule that decides
// by what a program may choose: no number of like probes shows that.
func (m *IsolationMatcher) Sampled(n int) *IsolationMatcher {
	m.sampled = n
	return m
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *IsolationMatcher) WithContext(ctx context.Context) *IsolationMatcher {
	m.ctx = ctx
	return m
}

// Match asks under watch, unless the actual is a Result.
func (m *IsolationMatcher) Match(actual any) (bool, error) {
	from, err := askerOf(m.name, actual, m.target)
	if err == nil {
		err = m.named.check(m.name, from, m.target)
	}
	if err != nil {
		return false, err
	}
	if m.last, err = m.findings(actual); err != nil {
		return false, err
	}
	j := judgement{findings: m.last, judge: m.judge, named: &m.named}
	ok, err := j.of(m.title, m.expected)
	if ok && m.control.wanted() { // else nobody needs the rules' texts
		err = m.control.confirm(m.ctx, m.stopped())
	}
	return ok && err == nil, err
}

// stopped are the results of findings that a policy is to be shown to have stopped; of
// those of a check without probes one for each policy.
func (m *IsolationMatcher) stopped() (results []Result) {
	had := map[string]bool{}
	for _, f := range m.last {
		if f.aside || f.excepted || m.bare != nil && had[f.Cause.String()] {
			continue
		}
		had[f.Cause.String()] = true
		results = append(results, f.Result)
	}
	return results
}

// findings asks, unless the actual is a Result.
func (m *IsolationMatcher) findings(actual any) ([]finding, error) {
	if from, is := actual.(*harness.Node); is {
		found, err := m.ask(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		return found, nil
	}
	if len(m.except) > 0 {
		return nil, fmt.Errorf("%s: Except wants the *harness.Node that asks, and not a Result, which is about one probe", m.name)
	}
	results, err := watchedResults(m.ctx, m.name, actual, m.target, m.probes)
	var found []finding
	for _, r := range results {
		found = append(found, finding{Result: r, fixed: r.Probe.source.fixed()})
	}
	if err == nil {
		err = m.doubt(found)
	}
	return found, err
}

func (m *IsolationMatcher) title() string {
	how := "isolated from"
	if m.leg == evidence.Answer {
		how = "unanswered by"
	}
	return fmt.Sprintf("%s is not shown to be %s %s", m.last[0].From, how, targetName(m.target))
}

func (m *IsolationMatcher) expected() string {
	text := "a policy ends every request on its way"
	if m.leg == evidence.Answer {
		text = "every request arrives, and a policy ends its answer on the way"
	}
	if len(m.named.because) > 0 {
		text = "every request ends on its way"
		if m.leg == evidence.Answer {
			text = "every request arrives, and its answer ends on its way"
		}
	}
	text += m.named.String()
	if m.bare != nil {
		text += "; without probes it asks " + m.bare.String()
	}
	if len(m.except) > 0 {
		text += "; " + allOf(probeNames(m.except)) + " answered"
	}
	return text
}

func probeNames(probes []Probe) (names []string) {
	for _, p := range probes {
		names = append(names, p.String())
	}
	return names
}

// judge says what a result shows, and whether it would show it another time.
func (m *IsolationMatcher) judge(f finding) (standing, objection) {
	is, o := m.shows(f)
	if doubt, doubted := doubtOf(f); is == holds && doubted {
		return unclear, doubt
	}
	return is, o
}

// shows says what a result shows this time.
func (m *IsolationMatcher) shows(f finding) (standing, objection) {
	switch {
	case f.excepted && f.Outcome == Answered && !f.wrongOwner():
		return holds, objection{}
	case f.excepted:
		return unclear, objection{endOf(f.Result) + ": it is one of those that Except has answered", ""}
	case f.leaks != "":
		return unclear, objection{f.leaks, "stop the request by a rule; a static neighbour entry lets it in"}
	case f.aside:
		return m.judgeAside(f)
	case f.Outcome == Answered && f.wrongOwner() && !f.noPath():
		return unclear, objection{fmt.Sprintf("%s was answered by %s", f.Addr, f.By), ""}
	case f.Outcome == Answered && !f.noPath():
		return fails, objection{f.To + " was reached", ""}
	case f.Cause == nil:
		return unclear, objection{"the Result is not of a probe under watch: use probes.Watch", ""}
	case f.Cause.Kind == evidence.Unknown:
		return unclear, objection{f.Cause.String(), ""}
	}
	if by := f.otherAnswerer(); by != "" && !f.noPath() {
		return unclear, objection{fmt.Sprintf("what was sent to %s was taken by %s: %s", f.Addr, by, *f.Cause), ""}
	}
	if f.closed && f.refusedByKernel() && !slices.Contains(m.named.because, f.Cause.Kind) {
		return fails, objection{f.Cause.String() + ": what is sent there does arrive", ""}
	}
	if is, o := m.half(f); is != holds {
		return is, o
	}
	if waits := f.waiting(m.leg); waits != "" {
		return unclear, objection{fmt.Sprintf("%s; but %s: it may arrive later", *f.Cause, waits), "ask with a longer time, Within, than it waits"}
	}
	c := *f.Cause
	if why := m.named.objection(c); why != "" {
		return unclear, objection{c.String() + ": " + why, ""}
	}
	if len(m.named.because) == 0 && !c.Policy {
		return unclear, mistake(c)
	}
	return holds, objection{}
}

// judgeAside says whether what is not to decide was kept from being delivered.
func (m *IsolationMatcher) judgeAside(f finding) (standing, objection) {
	where, comma := fmt.Sprintf("%s at %s", f.To, f.Addr), ""
	if f.Probe.source.addr.IsValid() {
		where, comma = fmt.Sprintf("%s, asked from %s", where, f.Probe.source.addr), ","
	}
	if f.Probe.source.device != "" {
		where, comma = fmt.Sprintf("%s, asked by a socket bound to %s", where, f.Probe.source.device), ","
	}
	switch {
	case f.Outcome == Answered && !f.wrongOwner():
		return unclear, objection{where + comma + " was reached", "close this way as well"}
	case f.Cause != nil && slices.Contains(m.named.because, f.Cause.Kind):
		return holds, objection{}
	case f.group && f.cameIn():
		return unclear, objection{fmt.Sprintf("%s let in what was sent to all on the link, at %s", f.To, f.Addr),
			"close broadcasts and groups as well (meta pkttype != host drop, but for neighbour discovery)"}
	case f.delivered() && f.Cause.Kind == evidence.Unknown: // of the answer's end
		return unclear, objection{where + ": what is sent there does arrive", "close this way as well"}
	case f.delivered() || f.refusedByKernel():
		return unclear, objection{fmt.Sprintf("%s: what is sent there does arrive: %s", where, *f.Cause), "close this way as well"}
	case f.lostAtTarget():
		return unclear, objection{fmt.Sprintf("%s: %s", where, *f.Cause), ""}
	case f.mayBeDelivered():
		return unclear, objection{where + comma + " was seen to get the request, or a copy of it: " + f.Cause.String(), ""}
	case f.lost():
		return unclear, objection{f.Cause.String(), ""}
	case f.waits != "":
		return unclear, objection{fmt.Sprintf("%s: %s: it may arrive later", where, f.waits), "ask with a longer time, Within, than it waits"}
	}
	return holds, objection{}
}

// half says whether it is the right half of the probe that was stopped.
func (m *IsolationMatcher) half(f finding) (standing, objection) {
	c := *f.Cause
	switch arrived := f.delivered(); {
	case m.leg == evidence.Answer && c.Connected:
		return fails, objection{c.String() + ": the answer that made it came back", "stop that answer as well"}
	case m.leg == evidence.Answer && (f.refusedByKernel() || c.Kind == evidence.Ignored):
		return unclear, objection{c.String() + ": the request arrived, and nobody there answers it, so there was no answer to stop",
			"have somebody answer it (probes.Serve)"}
	case m.leg == evidence.Answer && !arrived:
		return unclear, objection{c.String() + ": the request did not arrive, so there was no answer to stop",
			"say BeIsolatedFrom, where that is meant"}
	case m.leg == evidence.Answer:
		return holds, objection{}
	case arrived && c.Kind == evidence.NoAnswer:
		return fails, objection{c.String(), "stop the request"}
	case arrived:
		return fails, objection{c.String() + ": what is sent there does arrive",
			"stop the request, or say BeUnansweredBy, where only answers are to be stopped"}
	case f.mayBeDelivered():
		return unclear, objection{fmt.Sprintf("%s; but a request, or a copy of it, was seen to come in at %s, and not what became of it there", c, f.To), ""}
	}
	return holds, objection{}
}

// mistake is the objection to a cause that nobody seems to have wanted.
func mistake(c evidence.Cause) objection {
	advice := fmt.Sprintf("expect it with Because(%q)", string(c.Kind))
	if mend := verdict.Mend(c.Kind); mend != "" {
		advice = mend + ", or " + advice
	}
	return objection{
		fmt.Sprintf("%s: no policy isolates here, it looks like a mistake in the test", c),
		advice,
	}
}

// FailureMessage is for a target that got what was sent.
func (m *IsolationMatcher) FailureMessage(any) string {
	if m.leg == evidence.Answer {
		return report(m.last, "is answered by "+targetName(m.target))
	}
	return report(m.last, "is not isolated from "+targetName(m.target))
}

// NegatedFailureMessage is for a NotTo that holds.
func (m *IsolationMatcher) NegatedFailureMessage(any) string {
	if m.leg == evidence.Answer {
		return report(m.last, "is not answered by "+targetName(m.target))
	}
	return report(m.last, "is isolated from "+targetName(m.target))
}
