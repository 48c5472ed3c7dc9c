package fence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/onsi/gomega/types"
)

// Matcher is what BeClosed returns.
type Matcher struct {
	world  World
	except []string
	ctx    context.Context
	holes  []Finding
}

var _ types.GomegaMatcher = (*Matcher)(nil)

// BeClosed holds when every channel out of the sandbox is blocked by what is named, or
// absent: see Check. The actual is the sandbox, or a Report. It is false where a channel
// is open, and an error where one is unproven.
func BeClosed(world World) *Matcher { return &Matcher{world: world, ctx: context.Background()} }

// here is the matcher; one of no world in the place of none.
func (m *Matcher) here() *Matcher {
	if m == nil {
		return &Matcher{}
	}
	return m
}

// Except are the channels that are to be open: their names, as Channels lists them.
func (m *Matcher) Except(channels ...string) *Matcher {
	m = m.here()
	m.except = append(m.except, channels...)
	return m
}

// WithContext bounds the check.
func (m *Matcher) WithContext(ctx context.Context) *Matcher {
	m = m.here()
	m.ctx = ctx
	return m
}

// Match checks the fence.
func (m *Matcher) Match(actual any) (bool, error) {
	m = m.here()
	for _, name := range m.except {
		if !slices.Contains(Channels(), name) {
			return false, fmt.Errorf("BeClosed: there is no channel %q; there are: %s", name, strings.Join(Channels(), ", "))
		}
	}
	report, isReport := actual.(Report)
	if !isReport {
		sandbox, ok := actual.(*harness.Node)
		if !ok {
			return false, fmt.Errorf("BeClosed wants a *harness.Node or a fence.Report; it got a %T", actual)
		}
		var err error
		if report, err = Check(m.ctx, sandbox, m.world); err != nil {
			return false, err
		}
	}
	if !report.tried() {
		return false, errors.New("the fence is not shown to be closed: no channel could be tried; Check says why of each")
	}
	m.holes = report.Holes(m.except...)
	var unproven []string
	for _, f := range m.holes {
		if f.State == Unproven {
			unproven = append(unproven, "  "+f.String())
		}
	}
	if len(unproven) == len(m.holes) && len(unproven) > 0 {
		return false, fmt.Errorf("the fence is not shown to be closed:\n%s", strings.Join(unproven, "\n"))
	}
	return len(m.holes) == 0, nil
}

// FailureMessage lists the holes.
func (m *Matcher) FailureMessage(any) string {
	m = m.here()
	lines := make([]string, len(m.holes))
	for i, f := range m.holes {
		lines[i] = "  " + f.String()
	}
	return "expected every channel out of the sandbox to be blocked; the fence has holes:\n" + strings.Join(lines, "\n")
}

// NegatedFailureMessage is for a NotTo whose fence is closed.
func (m *Matcher) NegatedFailureMessage(any) string {
	return "expected the fence to have a hole; every channel is blocked or absent"
}
