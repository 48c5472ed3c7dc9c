package probes

import (
	"context"
	"fmt"

	"github.com/nstest/nstest/harness"
)

// askerOf is the node that asks, of a matcher's actual: itself, or a Result of it.
func askerOf(ctx context.Context, matcher string, actual any, target Target) (*harness.Node, error) {
	if ctx == nil {
		return nil, fmt.Errorf("%s: %w", matcher, errNoContext)
	}
	if _, err := nameOf(target); err != nil {
		return nil, fmt.Errorf("%s: %w", matcher, err)
	}
	switch actual := actual.(type) {
	case *harness.Node:
		if isNone(actual) {
			return nil, fmt.Errorf("%s: the node that asks is nil", matcher)
		}
		return actual, nil
	case Result:
		if actual.Outcome == 0 || actual.from == nil {
			return nil, fmt.Errorf("%s: the zero Result: nothing was asked", matcher)
		}
		return actual.from, nil
	}
	return nil, fmt.Errorf("%s wants the *harness.Node that asks, or a probes.Result; it got a %T", matcher, actual)
}

// watchedResults asks every probe under watch, or takes the Result that was asked
// for already; one for each address.
func watchedResults(ctx context.Context, matcher string, actual any, target Target, probes []Probe) ([]Result, error) {
	switch actual := actual.(type) {
	case *harness.Node:
		if len(probes) == 0 {
			probes = []Probe{ICMP()}
		}
		var results []Result
		for _, p := range probes {
			r, err := Watch(ctx, actual, target, p)
			if err != nil {
				return nil, err
			}
			results = append(results, r.All()...)
		}
		return results, nil
	case Result:
		if err := concerns(actual, target, probes); err != nil {
			return nil, fmt.Errorf("%s: %w", matcher, err)
		}
		return actual.All(), nil
	}
	return nil, fmt.Errorf("%s wants the *harness.Node that asks, or a probes.Result; it got a %T", matcher, actual)
}

// concerns returns an error unless a Result is one of a matcher's questions:
// that another target answered, or another probe, says nothing.
func concerns(r Result, target Target, probes []Probe) error {
	if r.Outcome == 0 {
		return fmt.Errorf("the zero Result: nothing was asked")
	}
	if want := targetName(target); r.To != want {
		return fmt.Errorf("the Result is about %s, not about %s", r.To, want)
	}
	if want := nodeOf(target); r.target != want {
		return fmt.Errorf("the Result is about another node that is called %s", want)
	}
	for _, p := range probes {
		if !p.like(r.Probe) {
			return fmt.Errorf("the Result is about %s, not about %s", r.Probe, p)
		}
	}
	return nil
}

func targetName(t Target) string {
	node, isNode := t.(*harness.Node)
	at, isEnd := t.(harness.Endpoint)
	if t == nil || isNode && isNone(node) || isEnd && isNone(at.Node) {
		return "nobody"
	}
	return t.String()
}
