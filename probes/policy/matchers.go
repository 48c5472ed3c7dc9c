package policy

import (
	"context"
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/onsi/gomega/types"
)

// Matcher is what BehaveLike returns.
type Matcher struct {
	before *harness.Lab
	ctx    context.Context
	found  Difference
}

var _ types.GomegaMatcher = (*Matcher)(nil)

// BehaveLike holds when the rules of two labs treat no packet otherwise: see Compare. The actual is the lab as it is
// after a change. It is an error where something could not be compared.
func BehaveLike(before *harness.Lab) *Matcher {
	return &Matcher{before: before, ctx: context.Background()}
}

// here is the matcher; one that holds of nothing in the place of none.
func (m *Matcher) here() *Matcher {
	if m == nil {
		return &Matcher{}
	}
	return m
}

// WithContext bounds the comparison.
func (m *Matcher) WithContext(ctx context.Context) *Matcher {
	m = m.here()
	m.ctx = ctx
	return m
}

// Match compares.
func (m *Matcher) Match(actual any) (bool, error) {
	m = m.here()
	after, ok := actual.(*harness.Lab)
	if !ok || after == nil || m.before == nil {
		return false, fmt.Errorf("BehaveLike wants two of *harness.Lab; it got a %T", actual)
	}
	var err error
	if m.found, err = Compare(m.ctx, m.before, after); err != nil {
		return false, err
	}
	if m.found.Empty() && len(m.found.Notes) > 0 {
		return false, fmt.Errorf("the rules are not shown to behave alike: %s", m.found)
	}
	return m.found.Empty(), nil
}

// FailureMessage is what changed.
func (m *Matcher) FailureMessage(any) string {
	m = m.here()
	return "the rules do not behave as before: " + m.found.String()
}

// NegatedFailureMessage says that nothing changed.
func (m *Matcher) NegatedFailureMessage(any) string {
	m = m.here()
	return "the rules behave as before, and were not to: " + m.found.String()
}
