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
	// again is why it was asked more than once, and repeated are the rules for whose sake it was
	// asked itself.
	again    rules.Memory
	repeated []fmt.Stringer
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
