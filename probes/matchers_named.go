package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// named is what At, By and Because say that a check must find: each result has one
// of each list that is not empty, and each name occurs.
type named struct {
	at, by  []string
	because []evidence.Kind
	wrong   error // the first that cannot be meant
}

// addNames appends names to a list; none, and one that is empty, would match anything.
func addNames[T ~string](n *named, what string, list *[]T, names []T) {
	if len(names) == 0 || slices.Contains(names, "") {
		n.mistake(fmt.Errorf("%s was given no name: name what is meant, or leave %s out", what, what))
	}
	*list = append(*list, names...)
}

// mistake notes what is wrong with a check, unless something is already.
func (n *named) mistake(err error) {
	if n.wrong == nil {
		n.wrong = err
	}
}

// known notes a mistake when no cause is of one of the kinds.
func (n *named) known(kinds []evidence.Kind) {
	all := verdict.Kinds()
	for _, kind := range kinds {
		if !slices.Contains(all, kind) {
			n.mistake(fmt.Errorf("Because: no cause is of the kind %q; there are: %s", kind, listed(all, " and ")))
		}
	}
}

// check is the error of names that could never occur.
func (n *named) check(matcher string, from *harness.Node, target Target) error {
	if n.wrong != nil {
		return fmt.Errorf("%s: %w", matcher, n.wrong)
	}
	for _, name := range n.at {
		if err := knownNode(matcher+": At", name, from, target); err != nil {
			return err
		}
	}
	return nil
}

// knownNode is an error when a name is no node's.
func knownNode(what, name string, from *harness.Node, target Target) error {
	var names []string
	for _, lab := range watchedLabs(from, target) {
		for _, n := range lab.Nodes() {
			names = append(names, n.Name())
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("%s: lab %s has no node %q; it has: %s", what, from.Lab().Name(), name, strings.Join(names, ", "))
}

// kindOf is what a cause is expected as: a rule that drops but neighbour discovery drops no
// request.
func kindOf(c evidence.Cause) evidence.Kind {
	if c.Discovery != nil {
		return evidence.Neighbour
	}
	return c.Kind
}

// objection is why a cause is none of those named; "" when it is one.
func (n *named) objection(c evidence.Cause) string {
	switch {
	case len(n.because) > 0 && !slices.Contains(n.because, kindOf(c)):
		return "not because of " + anyOf(n.because)
	case len(n.at) > 0 && !slices.Contains(n.at, c.Node):
		return "not at " + anyOf(n.at)
	case len(n.by) > 0 && !slices.ContainsFunc(n.by, c.Is):
		return "not by " + anyOf(quoted(n.by))
	}
	return ""
}

// missing are the names that no cause is.
func (n *named) missing(causes []evidence.Cause) (names []string) {
	occurs := func(is func(evidence.Cause) bool) bool { return slices.ContainsFunc(causes, is) }
	for _, at := range n.at {
		if !occurs(func(c evidence.Cause) bool { return c.Node == at }) {
			names = append(names, "at "+at)
		}
	}
	for _, by := range n.by {
		if !occurs(func(c evidence.Cause) bool { return c.Is(by) }) {
			names = append(names, fmt.Sprintf("by %q", by))
		}
	}
	for _, kind := range n.because {
		if !occurs(func(c evidence.Cause) bool { return kindOf(c) == kind }) {
			names = append(names, "because of "+string(kind))
		}
	}
	return names
}

// String is what is expected, for the end of a sentence; "" when nothing is.
func (n *named) String() string {
	var text strings.Builder
	if len(n.at) > 0 {
		text.WriteString(", at " + allOf(n.at))
	}
	if len(n.by) > 0 {
		text.WriteString(", by " + allOf(quoted(n.by)))
	}
	if len(n.because) > 0 {
		text.WriteString(", because of " + allOf(n.because))
	}
	return text.String()
}

func quoted(names []string) []string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return quoted
}

func anyOf[T ~string](names []T) string { return listed(names, " or ") }
func allOf[T ~string](names []T) string { return listed(names, " and ") }

// listed joins names as a sentence does: a, b and c.
func listed[T ~string](names []T, last string) string {
	var text strings.Builder
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			text.WriteString(last)
		default:
			text.WriteString(", ")
		}
		text.WriteString(string(name))
	}
	return text.String()
}
