package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
)

// finding is one result of a check.
type finding struct {
	Result
	// aside is true of what is not from the asker's chosen source to the target's
	// nearest address: it only must not be delivered, whatever ends it.
	aside bool
	// excepted is true of a probe that is to be answered.
	excepted bool
	// closed is true of a port that nobody has: that the target refuses it shows that
	// it arrives.
	closed bool
}

// standing is what a finding says about a check.
type standing int

const (
	unclear standing = iota // not what is to be shown, nor the opposite
	holds
	fails // the opposite is shown
)

// judgement is what the findings of a check come to.
type judgement struct {
	matcher  string
	findings []finding
	judge    func(finding) (standing, objection)
	named    *named
}

// objection is why a finding does not show what it should, and what to do about it.
type objection struct{ why, advice string }

// of is true when every finding holds and every name occurs, false when the opposite is shown
// by all that decide, and an error otherwise.
func (j *judgement) of(title, expected func() string) (bool, error) {
	var lines []string
	clear, against, deciding := true, 0, 0
	for _, f := range j.findings {
		is, o := j.judge(f)
		clear = clear && is == holds
		if !f.aside {
			deciding++
			if is == fails {
				against++
			}
		}
		lines = append(lines, f.tell(is, o)...)
	}
	missing := j.missing()
	switch {
	case clear && len(missing) == 0:
		return true, nil
	case against == deciding:
		return false, nil
	case clear:
		lines = append(lines, "  nothing of it ended "+anyOf(missing)+": take out of the test what does not occur")
	}
	return false, fmt.Errorf("%s:\n  expected: %s\n%s", title(), expected(), strings.Join(lines, "\n"))
}

// missing are the names that occur nowhere among the findings.
func (j *judgement) missing() []string {
	if j.named == nil {
		return nil
	}
	var causes []evidence.Cause
	for _, f := range j.findings {
		if f.Cause != nil {
			causes = append(causes, *f.Cause)
		}
	}
	return j.named.missing(causes)
}

// tell is a finding as a message has it: one that holds in a line or two, another with
// what is wrong with it, what to do, and what was seen.
func (f finding) tell(is standing, o objection) []string {
	lines := []string{"  " + f.String()}
	if is == holds {
		if f.Cause != nil {
			lines = append(lines, "    "+f.Cause.String())
		}
		return lines
	}
	lines = append(lines, "    "+o.why)
	if o.advice != "" {
		lines = append(lines, "    to do: "+o.advice)
	}
	return append(lines, seen(f.Result))
}

// seen is a result's timeline for a message.
func seen(r Result) string {
	return "    seen of it:\n" + indent(indent(indent(r.Timeline.String())))
}

// report tells all findings with what is behind them.
func report(findings []finding, how string) string {
	var text strings.Builder
	for i, f := range findings {
		if i == 0 {
			fmt.Fprintf(&text, "%s %s:\n", f.From, how)
		}
		fmt.Fprintf(&text, "  %s\n", f.Result)
		if f.Cause != nil {
			fmt.Fprintf(&text, "    %s\n", *f.Cause)
		}
		fmt.Fprintf(&text, "%s\n", seen(f.Result))
	}
	return strings.TrimRight(text.String(), "\n")
}

// delivered says whether a request was shown to be delivered in the target: to a socket,
// or to its kernel, whose reply went out or was kept from going out.
func (r Result) delivered() bool {
	switch {
	case r.noPath():
		return false
	case r.Outcome == Answered:
		return !r.wrongOwner()
	case r.Cause == nil:
		return false
	case r.Cause.Leg == evidence.Answer:
		return r.otherAnswerer() == ""
	}
	return false
}

// otherAnswerer is another node than the target that an answer was seen to leave; "" when
// there is none.
func (r Result) otherAnswerer() string {
	by := r.Timeline.Answerer()
	if by == "" || r.target == nil || by == r.target.Name() || by == r.target.Lab().Name()+"/"+r.target.Name() {
		return ""
	}
	return by
}

// refusedByKernel says whether the target's kernel got the request, and nobody there
// wanted it.
func (r Result) refusedByKernel() bool {
	return r.Cause != nil && r.Cause.Kind == evidence.NoListener
}

// lost says whether something was not seen for want of room: then nothing is known of it.
func (r Result) lost() bool {
	return r.Cause != nil && r.Cause.Kind == evidence.Unknown && r.Cause.Node == ""
}

// mayBeDelivered says whether a request was seen to come in at the target, and not to end
// there: a copy may have been delivered while another ended elsewhere.
func (r Result) mayBeDelivered() bool {
	if r.Cause == nil {
		return false
	}
	var targets []string
	switch {
	case r.target != nil:
		targets = []string{r.target.Name()}
	case r.from != nil:
		targets = r.from.Lab().Plan().Owners(r.Addr.WithZone(""))
	}
	if slices.Contains(targets, r.Cause.Node) {
		return false // it is known how it ended there
	}
	dropped := slices.ContainsFunc(r.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Dropped() && slices.Contains(targets, s.Node)
	})
	return cameTo(r.Timeline, targets) && !dropped
}

// cameToTarget says whether the target was seen to get the request, whoever answered.
func (r Result) cameToTarget() bool {
	return r.target != nil && cameTo(r.Timeline, []string{r.target.Name()})
}

// cameTo says whether a request was seen to come in at one of the nodes, for its MAC.
func cameTo(timeline evidence.Timeline, nodes []string) bool {
	return slices.ContainsFunc(timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Direction == evidence.In && !s.Foreign && slices.Contains(nodes, s.Node)
	})
}
