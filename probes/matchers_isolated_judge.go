package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
)

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
	case f.leaks.why != "":
		return unclear, f.leaks
	case f.forwarded != (forwarded{}):
		return m.judgeForwarded(f)
	case f.aside:
		return m.judgeAside(f)
	case f.Outcome == Answered && f.wrongOwner() && !f.noPath():
		return unclear, objection{fmt.Sprintf("%s was answered by %s", f.Addr, f.By), ""}
	case f.answeredElsewhere() && !f.noPath():
		return unclear, objection{fmt.Sprintf("%s was answered by %s, and %s was not seen to get the request", f.Addr, f.who(), f.To), ""}
	case f.Outcome == Answered && !f.noPath():
		return fails, objection{f.To + " was reached", ""}
	case f.reached && !f.noPath():
		return fails, objection{fmt.Sprintf("%s was reached: %s", f.To, f.detail), ""}
	case f.Cause == nil:
		return unclear, objection{"the Result is not of a probe under watch: use probes.Watch", ""}
	case f.Cause.Kind == evidence.Unknown:
		return unclear, objection{f.Cause.String(), ""}
	case f.Cause.Chance:
		return unclear, objection{f.Cause.String(), "what is lost by chance is no evidence, whatever is expected"}
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
	if f.Cause.Kind == evidence.Queued {
		return unclear, objection{f.Cause.String() + ": it may arrive later", longerThanItWaits}
	}
	if waits := f.waiting(m.leg); waits != "" {
		return unclear, objection{fmt.Sprintf("%s; but %s: it may arrive later", *f.Cause, waits), longerThanItWaits}
	}
	c := *f.Cause
	if why := m.named.objection(c); why != "" {
		return unclear, objection{c.String() + ": " + why, ""}
	}
	if len(m.named.because) == 0 && !c.Policy {
		return unclear, mistake(c)
	}
	if o, is := f.astray(); is && len(m.named.because) == 0 {
		return unclear, o
	}
	return holds, objection{}
}

const longerThanItWaits = "ask with a longer time, Within, than it waits"

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
	case f.Outcome == Answered && !f.answeredElsewhere(), f.reached:
		return unclear, objection{where + comma + " was reached", "close this way as well"}
	case f.Cause != nil && slices.Contains(m.named.because, kindOf(*f.Cause)) && !f.Cause.Chance && f.Cause.Kind != evidence.Queued:
		return holds, objection{}
	case f.group && f.cameIn():
		return unclear, objection{fmt.Sprintf("%s let in what was sent to all on the link, at %s", f.To, f.Addr),
			"close broadcasts and groups as well (meta pkttype != host drop, but for neighbour discovery)"}
	case f.delivered() && f.Cause.Kind == evidence.Unknown: // of the answer's end
		return unclear, objection{where + ": what is sent there does arrive", "close this way as well"}
	case f.delivered() || f.refusedByKernel():
		return unclear, objection{fmt.Sprintf("%s: what is sent there does arrive: %s", where, *f.Cause), "close this way as well"}
	case f.Cause != nil && slices.Contains([]evidence.Kind{evidence.Queue, evidence.Queued, evidence.Lost}, f.Cause.Kind):
		return unclear, objection{fmt.Sprintf("%s: %s: it may let another through", where, *f.Cause), ""}
	case f.lostAtTarget():
		return unclear, objection{fmt.Sprintf("%s: %s", where, *f.Cause), ""}
	case f.mayBeDelivered():
		return unclear, objection{where + comma + " was seen to get the request, or a copy of it: " + f.Cause.String(), ""}
	case f.lost():
		return unclear, objection{f.Cause.String(), ""}
	case f.waits != "":
		return unclear, objection{fmt.Sprintf("%s: %s: it may arrive later", where, f.waits), longerThanItWaits}
	}
	return holds, objection{}
}

// half says whether it is the right half of the probe that was stopped.
func (m *IsolationMatcher) half(f finding) (standing, objection) {
	c := *f.Cause
	switch arrived := f.delivered(); {
	case m.leg == evidence.Answer && c.Connected:
		return fails, objection{c.String() + ": the answer that made it came back", "stop that answer as well"}
	case m.leg == evidence.Answer && (f.refusedByKernel() || c.Kind == evidence.Ignored || c.Kind == evidence.NoConnection):
		return unclear, objection{c.String() + ": the request arrived, and nobody there answers it, so there was no answer to stop",
			"have somebody answer it (probes.Serve)"}
	case m.leg == evidence.Answer && !arrived:
		return unclear, objection{c.String() + ": the request did not arrive, so there was no answer to stop",
			"say BeIsolatedFrom, where that is meant"}
	case m.leg == evidence.Answer:
		return holds, objection{}
	case arrived && (c.Kind == evidence.NoAnswer || c.Kind == evidence.NoConnection):
		return fails, objection{c.String(), "stop the request"}
	case arrived:
		return fails, objection{c.String() + ": what is sent there does arrive",
			"stop the request, or say BeUnansweredBy, where only answers are to be stopped"}
	case f.fragmentCame():
		return unclear, objection{fmt.Sprintf("%s; but another fragment of it came in at %s", c, f.To), "stop all fragments: only the first has ports, and connection tracking puts them together first"}
	case f.mayBeDelivered():
		return unclear, objection{fmt.Sprintf("%s; but a request, or a copy of it, was seen to come in at %s, and not what became of it there", c, f.To), ""}
	}
	return holds, objection{}
}

// mistake is the objection to a cause that nobody seems to have wanted.
func mistake(c evidence.Cause) objection {
	advice := fmt.Sprintf("expect it with Because(%q)", string(kindOf(c)))
	if c.Discovery != nil {
		advice = "stop the request itself, for a static neighbour entry lets it in; or let neighbour discovery pass, or " + advice
	} else if mend := verdict.Mend(c.Kind); mend != "" {
		advice = mend + ", or " + advice
	}
	return objection{
		fmt.Sprintf("%s: no policy isolates here, it looks like a mistake in the test", c),
		advice,
	}
}
