package probes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
)

// mutateVar has every check of isolation controlled, unless it is "" or 0.
const mutateVar = "NSTEST_MUTATE"

var mutating = sync.OnceValue(func() bool {
	value := os.Getenv(mutateVar)
	return value != "" && value != "0"
})

// MustMatter has a matcher control itself by mutation: a check that passes is
// repeated in a fresh lab from the same plan, without the policy that it named. The
// probe must get through there, or meet another policy, which is lifted as well, until
// it gets through to its target. If it never does, the policy is not what isolates:
//
//	Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, ssh)).By("no ssh"))
//
// With NSTEST_MUTATE=1 all checks with BeIsolatedFrom and BeRejectedBy are controlled
// so, and of a watched matrix that MatchMatrix compares a cell for each policy. What cannot be repeated, since the test has changed the lab by other means than
// the harness's (see harness.Lab.Twin), or since what it named is no policy, is told
// as not checked when the package's tests have ended; to MustMatter it is an error.
func MustMatter[M *IsolationMatcher | *RefusalMatcher](matcher M) M {
	switch m := any(matcher).(type) {
	case *IsolationMatcher:
		if m == nil {
			return any(&IsolationMatcher{name: "MustMatter", named: named{wrong: errNoMatcher}}).(M)
		}
		m.control = must
	case *RefusalMatcher:
		if m == nil {
			return any(&RefusalMatcher{name: "MustMatter", named: named{wrong: errNoMatcher}}).(M)
		}
		m.control = must
	}
	return matcher
}

// control says whether a check is controlled by mutation.
type control int

const (
	ifAsked control = iota // by NSTEST_MUTATE
	must                   // and what cannot be is an error
)

// wanted says whether checks that passed are controlled.
func (c control) wanted() bool { return c == must || mutating() }

// confirm controls checks that passed.
func (c control) confirm(ctx context.Context, results []Result) error {
	if !c.wanted() {
		return nil
	}
	for _, r := range results {
		if c != must && (r.Cause == nil || !r.Cause.Policy) {
			continue // it was to be because of what is no policy
		}
		err := turns(ctx, r)
		var not notChecked
		if errors.As(err, &not) && c != must {
			account.not(r, not)
			continue
		}
		if err != nil {
			return err
		}
		account.turned()
	}
	return nil
}

// notChecked is why a check could not be repeated.
type notChecked struct{ why error }

func (n notChecked) Error() string { return "not checked: " + n.why.Error() }
func (n notChecked) Unwrap() error { return n.why }

// mostLifted bounds how many policies may lie one behind another.
const mostLifted = 32

// turns says by an error why a result does not become another without the policy
// that stopped it.
func turns(ctx context.Context, r Result) error {
	switch {
	case !canBeLifted(r.Cause):
		return notChecked{errors.New("what stopped it is no policy")}
	case r.kept:
		return notChecked{errors.New("a connection that lives has begun before what stopped it: there is none in a fresh lab")}
	case r.noPath():
		return notChecked{errors.New("nothing joins the two, so that there is nothing to take away")}
	case r.from == nil || r.target != nil && r.target.Lab() != r.from.Lab():
		return notChecked{errors.New("the target is in another lab")}
	}
	copied, err := copyOf(r)
	if err != nil {
		return notChecked{err}
	}
	defer copied.end()
	now, err := copied.ask(ctx)
	switch {
	case err != nil:
		return err
	case now.Cause == nil || !same(*now.Cause, *r.Cause):
		return notChecked{fmt.Errorf("a fresh lab from its plan shows something else: %s", endOf(now.Result))}
	}
	var lifted []string
	for range mostLifted {
		if err := Lift(copied.lab.Node(now.Cause.Node), *now.Cause); err != nil {
			return notChecked{err}
		}
		lifted = append(lifted, "  without this: "+now.Cause.String())
		if now, err = copied.ask(ctx); err != nil {
			return err
		}
		if arrived(now.Result) || now.leaks.why != "" || r.Cause.Leg == evidence.Request && now.delivered() {
			return nil
		}
		if !canBeLifted(now.Cause) {
			break
		}
	}
	return fmt.Errorf("control by mutation: the isolation of %s is not due to what it names:\n%s\n  it does not get through either: %s\n%s",
		r, strings.Join(lifted, "\n"), strings.ReplaceAll(now.GomegaString(), "\n", "\n    "), seen(now.Result))
}

// Lift takes away at a node what a policy that stopped a probe there is made of: the
// rule, the chain's policy, the route, what a bridge's port does. A route or
// forwarding that a router lacks it gives. All nodes of the lab forget their neighbours:
// the policy may have stopped their questions, and a kernel repeats one after a second.
// It is for a lab that is only there to show what would be without it: see
// harness.Lab.Twin. The error is for a cause that is no policy, and for one that cannot
// be lifted.
func Lift(node *harness.Node, c evidence.Cause) error { return watch.Lift(node, c) }

// arrived says whether a probe got through to its target: it answered, or refused,
// whatever came of that, or handed it on to another who answered for it (a forwarded port).
func arrived(r Result) bool {
	if r.Outcome == Answered {
		return !r.wrongOwner() || r.cameToTarget()
	}
	if r.Outcome == Silent && r.detail != "" { // what opens a connection came through
		return true
	}
	// Of an address, whose port may be forwarded, it is who has the port in the end that refuses.
	return r.Cause != nil && r.Cause.Kind == evidence.NoListener && (r.target == nil || r.Cause.Node == r.target.Name())
}

// endOf is what became of a probe, without times.
func endOf(r Result) string {
	if r.Cause != nil {
		return r.Cause.String()
	}
	return r.Outcome.String()
}

// canBeLifted says whether a cause is a policy, or a rule that drops but neighbour discovery.
func canBeLifted(c *evidence.Cause) bool { return c != nil && (c.Policy || c.Discovery != nil) }

// same says whether two causes are the same in two labs: handles may differ.
func same(a, b evidence.Cause) bool {
	if a.Kind != b.Kind || a.Node != b.Node || a.Leg != b.Leg || (a.Rule == nil) != (b.Rule == nil) || (a.Discovery == nil) != (b.Discovery == nil) {
		return false
	}
	if a.Rule != nil {
		return a.Rule.Name() == b.Rule.Name()
	}
	return a.Detail == b.Detail
}

// double is a fresh lab with the same services, for the probe of a result.
type double struct {
	lab     *harness.Lab
	result  Result
	closers []func()
	running sync.WaitGroup
}

func copyOf(r Result) (*double, error) {
	lab, err := r.from.Lab().Twin()
	if err != nil {
		return nil, err
	}
	d := &double{lab: lab, result: r}
	for _, s := range services(r.from.Lab()) {
		closers, err := serve(lab.Node(s.node), s.probe, &d.running)
		d.closers = append(d.closers, closers...)
		if err != nil {
			d.end()
			return nil, err
		}
	}
	return d, nil
}

func (d *double) end() {
	for _, f := range d.closers {
		f()
	}
	d.running.Wait()
	d.lab.Down()
}

// ask asks what the result was of.
func (d *double) ask(ctx context.Context) (finding, error) {
	r := d.result
	var to Target = r.Addr
	if r.target != nil {
		to = d.lab.Node(r.target.Name())
	}
	q := question{
		from: d.lab.Node(r.From), to: to, name: r.To,
		wanted: []wanted{{Probe: r.Probe, pairs: []pair{{to: r.Addr}}}},
	}
	found, err := q.ask(ctx)
	if err != nil {
		return finding{}, fmt.Errorf("control by mutation: %s: %w", r, err)
	}
	return found[0], nil
}
