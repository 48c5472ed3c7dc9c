package probes

import (
	"context"
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
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
// forwarding that a router was declared not to have, an isolated or locked port of a bridge.
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
// there may bind its socket to, and at addresses of which rules make others, of those on
// the way (a forwarded port) and its own; node.On(segment) at those of one
// segment, and a netip.Addr is what it is. Of a prefix that is all a node's (a route of type local,
// an address of lo), of one that rules translate, and of more than 16 addresses that they
// translate, it is asked at, or from, one of each part that rules, routes or policy routing on the
// way tell apart. A probe that is named is asked at other ports as well of which rules
// make its own (redirect to :53), of those that rules tell apart one each: what is sent there must
// not arrive at its own. More than 256 such parts, or ports, are an error.
// The address nearest to the asker, asked from the
// source that the asker's kernel takes, decides: a policy has to stop that probe, in every
// family that both have. At the other addresses it is enough that nothing is delivered;
// the message says why. It is not asked from addresses that the asker does not have, although
// a program there could (over IPv6 by IPV6_FREEBIND, over both by raw sockets).
//
// A rule that decides by what any program at the asker may choose isolates nobody. Where
// that is the source port, the probe is asked again from other ports: the edges of the rules'
// ranges, and what their masks tell apart, up to 12 more. Where it is the length, the traffic
// class, the flow label, the TTL, options or extension headers, the TCP window, the payload, or
// the user, also in policy routing, and another choice could let the request in, it is an error
// that names the rule. What root alone may choose is not doubted: a mark, ICMP's type and code,
// flags of TCP. Nor is what the probe itself chose: From, FromInterface, FromPort, TTL, DSCP
// (without ECN) and UID.
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
	m = m.here()
	addNames(&m.named, "At", &m.named.at, nodes)
	return m
}

// By names what is to stop it: a rule by its exact comment or text, or a chain's
// policy as "policy inet filter forward"; see evidence.Cause.Is. Each result is by one
// of the names, and each of them occurs.
func (m *IsolationMatcher) By(names ...string) *IsolationMatcher {
	m = m.here()
	addNames(&m.named, "By", &m.named.by, names)
	return m
}

// Because expects causes of these kinds, policies or not: each result is of one of
// them, and each of them occurs.
func (m *IsolationMatcher) Because(kinds ...evidence.Kind) *IsolationMatcher {
	m = m.here()
	addNames(&m.named, "Because", &m.named.because, kinds)
	m.named.known(kinds)
	return m
}

// Except says "all but": these probes are asked as well, and the target is to answer
// them; all others are to be stopped.
func (m *IsolationMatcher) Except(probes ...Probe) *IsolationMatcher {
	m = m.here()
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
	m = m.here()
	if m.sampled = n; n < 1 {
		m.named.mistake(fmt.Errorf("Sampled(%d): no number of probes below one shows anything; leave Sampled out for none", n))
	}
	return m
}

// WithContext bounds the probes by a context, a SpecContext for instance.
func (m *IsolationMatcher) WithContext(ctx context.Context) *IsolationMatcher {
	m = m.here()
	m.ctx = ctx
	return m
}

// Match asks under watch, unless the actual is a Result.
func (m *IsolationMatcher) Match(actual any) (bool, error) {
	m = m.here()
	from, err := askerOf(m.ctx, m.name, actual, m.target)
	if err == nil || m.named.wrong != nil {
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
		found = append(found, finding{Result: r, fixed: r.Probe.fixed()})
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

// FailureMessage is for a target that got what was sent.
func (m *IsolationMatcher) FailureMessage(any) string {
	m = m.here()
	if m.leg == evidence.Answer {
		return report(m.last, "is answered by "+targetName(m.target))
	}
	return report(m.last, "is not isolated from "+targetName(m.target))
}

// NegatedFailureMessage is for a NotTo that holds.
func (m *IsolationMatcher) NegatedFailureMessage(any) string {
	m = m.here()
	if m.leg == evidence.Answer {
		return report(m.last, "is not answered by "+targetName(m.target))
	}
	return report(m.last, "is isolated from "+targetName(m.target))
}
