package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// finding is one result of a check.
type finding struct {
	Result
	// aside is true of what is not from the asker's chosen source to the target's
	// nearest address: it only must not be delivered, whatever ends it.
	aside bool
	// group is true of what was sent to all on a link.
	group bool
	// forwarded is the port that is meant, where it was sent to another of which rules make
	// that; its zero value where it was sent to its own.
	forwarded forwarded
	// excepted is true of a probe that is to be answered.
	excepted bool
	// closed is true of a port that nobody has: that the target refuses it shows that
	// it arrives.
	closed bool
	// leaks says that the request arrives where neighbour discovery does not keep it, or by
	// a shorter way; nothing where it was not tried, or does not.
	leaks objection
	// doubt is what might have decided otherwise; its kind is 0 where nothing would.
	doubt rules.Memory
	// choice is a rule that decides by what any program may choose; nil for none.
	choice *rules.Choice
	// fixed are the traits that the test chose: no others are tried.
	fixed rules.Trait
	// again is why it was asked more than once.
	again rules.Memory
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
	findings []finding
	judge    func(finding) (standing, objection)
	named    *named
}

// objection is why a finding does not show what it should, and what to do about it.
type objection struct{ why, advice string }

// of is true when every finding holds and every name occurs, false when the opposite is shown
// by all that decide, and an error otherwise.
func (j *judgement) of(title, expected func() string) (bool, error) {
	aimless := map[netip.Addr]string{}
	var objections [][]string
	var holding []finding
	against, deciding := 0, 0
	for _, f := range j.findings {
		is, o := j.judge(f)
		why, looked := aimless[f.Addr]
		if !looked {
			why = f.aimless()
			aimless[f.Addr] = why
		}
		meant := is == holds && f.Cause != nil && !f.Cause.Policy && j.named != nil && len(j.named.because) > 0 // that nobody is there, say
		if why != "" && !meant {
			is, o.why = unclear, strings.TrimPrefix(o.why+"; "+why, "; ")
		}
		if !f.aside {
			deciding++
			if is == fails {
				against++
			}
		}
		if is == holds {
			holding = append(holding, f)
		} else {
			objections = append(objections, f.tell(o))
		}
	}
	missing := j.missing()
	switch {
	case len(objections) == 0 && len(missing) == 0:
		return true, nil
	case against == deciding:
		return false, nil
	}
	lines := told(objections)
	if len(objections) == 0 {
		lines = append(lines, "  no probe was stopped "+anyOf(missing)+": take it out of At, By or Because, or ask what it stops")
	}
	lines = append(lines, kept(holding)...)
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

// mostTold bounds how many findings a message has in full, of those with an objection and
// of those without.
const mostTold = 8

// told are the findings that a message is about.
func told(objections [][]string) (lines []string) {
	for i, o := range objections {
		if i == mostTold {
			lines = append(lines, fmt.Sprintf("  and %d more that do not show it:", len(objections)-mostTold))
		}
		if i < mostTold {
			lines = append(lines, o...)
		} else {
			lines = append(lines, "  "+strings.TrimSpace(o[0]))
		}
	}
	return lines
}

// kept are the findings that hold; of many those that ended alike are put together.
func kept(findings []finding) (lines []string) {
	if len(findings) > mostTold {
		return keptTogether(findings)
	}
	for _, f := range findings {
		lines = append(lines, "  "+f.String())
		if f.Cause != nil {
			lines = append(lines, "    "+f.Cause.String())
		}
	}
	return lines
}

func keptTogether(findings []finding) (lines []string) {
	var ends []string
	probes := map[string][]string{}
	for _, f := range findings {
		end := f.Outcome.String()
		if f.Cause != nil {
			end = f.Cause.String()
		}
		if !slices.Contains(ends, end) {
			ends = append(ends, end)
		}
		if name := f.Probe.String(); !slices.Contains(probes[end], name) {
			probes[end] = append(probes[end], name)
		}
	}
	for _, end := range ends {
		lines = append(lines, "  "+strings.Join(probes[end], ", "), "    "+end)
	}
	return lines
}

// tell is a finding with what is wrong with it, what to do, and what was seen.
func (f finding) tell(o objection) []string {
	lines := []string{"  " + f.String(), "    " + o.why}
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
		return !r.answeredElsewhere()
	case r.reached:
		return true
	case r.Cause == nil:
		return false
	case r.Cause.Leg == evidence.Answer, r.Cause.Connected, r.Cause.Kind == evidence.NoAnswer:
		return r.otherAnswerer() == ""
	}
	return false
}

// answeredElsewhere says whether another node than the target answered, or one of several with the
// address of which it is not known, and the target was not seen to get the request.
func (r Result) answeredElsewhere() bool {
	unknown := r.Outcome == Answered && r.target != nil && r.By == "" && r.trail != nil
	return r.wrongOwner() || unknown && !r.cameToTarget()
}

// otherAnswerer is another node than the target that took the request: that an answer was
// seen to leave, or was made at; "" when there is none.
func (r Result) otherAnswerer() string {
	by := ""
	if r.target != nil {
		by = r.Timeline.Answerer()
	}
	if by == "" && r.Cause != nil && r.Cause.Leg == evidence.Answer {
		by = r.taker()
	}
	if slices.Contains(r.targets(), by) {
		return ""
	}
	return by
}

// waiting says where a packet of a half waits; for an answer's that the request has not
// brought yet, there too.
func (r Result) waiting(leg evidence.Role) string {
	if leg == evidence.Answer && r.waits == "" {
		return r.answerWaits
	}
	return r.waits
}

// taker is the node that took the request, where the answer was seen nowhere: what came in
// at the target was taken there, and else it was where the request ended.
func (r Result) taker() (by string) {
	targets := r.targets()
	if len(targets) == 0 || cameTo(r.Timeline, targets) || sameNode(r.from, r.target) {
		return ""
	}
	for _, p := range r.Packets {
		switch {
		case p.Role != evidence.Request || p.Stray:
		case slices.Contains(targets, p.Node):
			return ""
		case by == "" && (p.Fate == evidence.Delivered || p.Fate == evidence.Ended):
			by = p.Node
		}
	}
	return by
}

// refusedByKernel says whether the target's kernel got the request, and nobody there
// wanted it.
func (r Result) refusedByKernel() bool {
	if r.Cause == nil || r.Cause.Kind != evidence.NoListener {
		return false
	}
	targets := r.targets()
	return len(targets) == 0 || slices.Contains(targets, r.Cause.Node)
}

// lost says whether something was not seen for want of room: then nothing is known of it.
func (r Result) lost() bool {
	return r.Cause != nil && r.Cause.Kind == evidence.Unknown && r.Cause.Node == ""
}

// lostAtTarget says whether a request came to the target, and what became of it there is
// not known, or a program's own socket dropped it, which may take another.
func (r Result) lostAtTarget() bool {
	return r.Cause != nil && (r.Cause.Kind == evidence.Unknown || r.Cause.Kind == evidence.NotTaken) && r.Cause.Leg == evidence.Request && slices.Contains(r.targets(), r.Cause.Node)
}

// mayBeDelivered says whether a request, or a copy of one, was let in at the target, or may
// have been, while the Cause tells of another's end.
func (r Result) mayBeDelivered() bool {
	if r.Cause == nil {
		return false
	}
	targets := r.targets()
	there := slices.Contains(targets, r.Cause.Node) && r.Cause.Kind != evidence.Unknown && r.Cause.Discovery == nil
	if len(r.Packets) > 0 {
		return slices.ContainsFunc(r.Packets, func(p evidence.Packet) bool {
			if p.Role != evidence.Request || p.Stray || p.Fate != evidence.Delivered || !slices.Contains(targets, p.Node) {
				return false
			}
			return !there || p.Seen && r.Cause.Rule != nil // a rule ended one, and another was let in
		})
	}
	dropped := slices.ContainsFunc(r.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Dropped() && slices.Contains(targets, s.Node)
	})
	return !there && !dropped && cameTo(r.Timeline, targets)
}

// cameIn says whether a request came in at the target and was not seen to end before it was
// delivered.
func (r Result) cameIn() bool {
	targets := r.targets()
	return slices.ContainsFunc(r.Packets, func(p evidence.Packet) bool {
		return p.Role == evidence.Request && !p.Stray && p.Fate == evidence.Delivered && slices.Contains(targets, p.Node)
	})
}

// targets are what a watch may call the node that is asked, or those that have the address, by
// the plan or now.
func (r Result) targets() []string {
	switch {
	case r.target != nil:
		return []string{r.target.Name(), r.target.Lab().Name() + "/" + r.target.Name()}
	case r.from != nil:
		lab, addr := r.from.Lab(), r.Addr.WithZone("")
		targets := lab.Plan().Owners(addr)
		now, _ := owners(lab, addr) // of a lab that is down what it was planned to be counts
		for _, node := range now {
			targets = append(targets, node.Name())
		}
		return targets
	}
	return nil
}

// cameToTarget says whether the target was seen to get the request, whoever answered.
func (r Result) cameToTarget() bool {
	return r.target != nil && cameTo(r.Timeline, r.targets())
}

// cameTo says whether a request was seen to come in at one of the nodes, for its MAC.
func cameTo(timeline evidence.Timeline, nodes []string) bool {
	return slices.ContainsFunc(timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Direction == evidence.In && !s.Foreign && slices.Contains(nodes, s.Node)
	})
}
