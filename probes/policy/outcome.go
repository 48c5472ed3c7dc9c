package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
)

// outcome is what becomes of packets. Of equal ones everything is.
type outcome struct {
	drops bool
	by    *entry    // which dropped them, or let them through where they were filtered last; nil where nobody was asked
	nat   [2]*entry // which gave them another destination, and another source
	rank  int       // of who let them through
}

// let notes who let packets through a base chain, if they are filtered there: the rule, or else the policy. Rule is 1 for one, and 0 for
// a policy; where packets are filtered counts more than where most mark and translate.
func (o *outcome) let(base *inspect.Chain, by *entry, rule int) {
	const filters = 2
	rank := 1 + rule
	switch {
	case base.Type == "nat":
		return
	case slices.Contains(filtering, base.Hook):
		rank += filters
	}
	if rank >= o.rank {
		o.by, o.rank = by, rank
	}
}

// filtering are the hooks where packets are filtered, and at the others most mark and translate them.
var filtering = []string{"input", "forward", "output"}

// terminal is what becomes of packets of a class: one of these outcomes, or what the kernel showed instead.
type terminal struct {
	ends  []outcome
	may   []*line // which may decide, and are not modelled
	wrong *contradiction
	like  []outcome // these, and all that are told by the same words
}

func (t *terminal) translates() bool {
	return slices.ContainsFunc(t.ends, func(o outcome) bool { return o.nat != [2]*entry{} })
}

func (t *terminal) ending() Ending {
	if t.wrong != nil {
		return Unknown
	}
	ending := t.ends[0].ending()
	for _, o := range t.ends {
		if o.ending() != ending {
			return Unsure
		}
	}
	return ending
}

func (o outcome) ending() Ending {
	switch {
	case !o.drops:
		return Accepted
	case o.by.of != nil && rejects(o.by):
		return Rejected
	}
	return Dropped
}

// text is the ending in words.
func (t *terminal) text() string {
	if t.wrong != nil {
		return t.wrong.text
	}
	return outcomesText(t.ends)
}

// why says on what it depends, and what the kernel did otherwise.
func (t *terminal) why() string {
	var why []string
	if t.wrong != nil {
		why = append(why, t.wrong.why)
	}
	for _, l := range t.may {
		why = append(why, fmt.Sprintf("%s: %s", l.rule, l.whatLacks()))
	}
	return strings.Join(why, "; ")
}

// outcomesText are outcomes in words. Those that differ in no more than who decided are told together.
func outcomesText(ends []outcome) string {
	type told struct {
		of outcome
		by []string
	}
	var all []told
	for _, o := range ends {
		at := slices.IndexFunc(all, func(t told) bool { return t.of.same(o) })
		if at < 0 {
			at = len(all)
			all = append(all, told{of: o})
		}
		if o.by != nil {
			all[at].by = union(all[at].by, o.calls())
		}
	}
	var words []string
	for _, t := range all {
		words = append(words, t.of.text(t.by))
	}
	return strings.Join(words, ", or ")
}

// same says whether packets end alike, whoever decided.
func (o outcome) same(as outcome) bool {
	return o.ending() == as.ending() && o.nat == as.nat && (o.by == nil) == (as.by == nil)
}

// String is the outcome in words, with the rules.
func (o outcome) String() string {
	if o.by == nil {
		return o.text(nil)
	}
	return o.text([]string{o.calls()})
}

// calls is what who decided is called.
func (o outcome) calls() string {
	if o.drops {
		return o.by.dropping(o.by.called())
	}
	return o.by.called()
}

// text is the outcome in words, by one of these.
func (o outcome) text(by []string) string {
	text := o.ending().String() + ", no rule asked"
	if len(by) > 0 {
		text = o.ending().String() + " by " + strings.Join(by, " or by ")
	}
	if e := o.nat[0]; e != nil {
		text = "translated" + e.translation() + ", " + text
	}
	if e := o.nat[1]; e != nil {
		text += ", its source translated" + e.translation()
	}
	return text
}

// translation is to what a rule translates, and which rule that is.
func (e *entry) translation() string {
	to, _ := targetOf(e.of)
	text := " by " + e.called()
	if to.String() != "" {
		text = " to " + to.String() + text
	}
	return text
}

// called is a rule's comment, or its text, or a policy's place.
func (e *entry) called() string {
	switch {
	case e.of == nil:
		return e.rule.where()
	case e.rule.Comment != "":
		return fmt.Sprintf("%q", e.rule.Comment)
	}
	return "rule (" + e.rule.Text + ")"
}
