package probes_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/fence"
	policies "github.com/nstest/nstest/probes/policy"
	"github.com/onsi/gomega/types"
)

// What takes a node, a lab or a context says so where there is none: a verdict of it would be
// about nothing.
func TestWhatIsAskedOfNobodyIsAnError(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	said := map[string]map[string]string{}
	for what, node := range map[string]*harness.Node{"nil": nil, "zero": {}} {
		said[what] = errorsOf(t, what+" node that asks", asksOf(t.Context(), node, server))
		maps.Copy(said[what], errorsOf(t, what+" node", nodeCalls(t.Context(), node, client)))
		errorsOf(t, what+" target", asksOf(t.Context(), client, node))
		errorsOf(t, what+" target's end", asksOf(t.Context(), client, node.On("lan")))
		serve := absentCall{name: "Serve at a " + what + " node", method: reflect.ValueOf(probes.Serve), tb: &absentTB{TB: t}}
		serve.args = []reflect.Value{reflect.ValueOf(serve.tb), reflect.ValueOf(node), reflect.ValueOf(probes.TCP(80))}
		if _, fatal := serve.run(t); fatal == "" {
			t.Errorf("%s works", serve.name)
		}
	}
	for name, text := range said["zero"] {
		if text != said["nil"][name] {
			t.Errorf("%s by the zero node says %q, by a nil one %q", name, text, said["nil"][name])
		}
	}
	for what, absent := range map[string]*harness.Lab{"nil": nil, "zero": {}} {
		errorsOf(t, what+" lab", labCalls(t.Context(), absent))
		errorsOf(t, what+" lab after", map[string]func() error{
			"Compare": func() error { _, err := policies.Compare(t.Context(), lab, absent); return err },
		})
	}
	var ctx context.Context
	errorsOf(t, "nil context", asksOf(ctx, client, server))
	errorsOf(t, "nil context", labCalls(ctx, lab))
	errorsOf(t, "nil context", nodeCalls(ctx, client, client))
}

// errorsOf wants an error of each call, and no panic.
func errorsOf(t *testing.T, what string, calls map[string]func() error) map[string]string {
	t.Helper()
	said := map[string]string{}
	for name, call := range calls {
		results, _ := absentCall{name: what + ": " + name, method: reflect.ValueOf(call), tb: &absentTB{}}.run(t)
		if len(results) != 1 {
			continue // it panicked
		}
		if results[0].IsNil() {
			t.Errorf("%s: %s works", what, name)
		}
		said[name] = fmt.Sprint(results[0])
	}
	return said
}

// asksOf are the ways to ask.
func asksOf(ctx context.Context, from *harness.Node, to probes.Target) map[string]func() error {
	icmp := probes.ICMP().Within(time.Second)
	tcp := probes.TCP(80)
	does := func(matcher types.GomegaMatcher) func() error {
		return func() error { _, err := matcher.Match(from); return err }
	}
	return map[string]func() error{
		"Ask":     func() error { _, err := probes.Ask(ctx, from, to, icmp); return err },
		"Watch":   func() error { _, err := probes.Watch(ctx, from, to, icmp); return err },
		"Path":    func() error { _, err := probes.Path(ctx, from, to, icmp); return err },
		"PathMTU": func() error { _, err := probes.PathMTU(ctx, from, to, icmp); return err },
		"Ping":    func() error { _, err := probes.Ping(ctx, from, to, probes.Train{Count: 1}); return err },
		"Connect": func() error { _, err := probes.Connect(ctx, from, to, tcp); return err },
		"Stream": func() error {
			_, err := probes.Stream(ctx, from, to, icmp, time.Millisecond, func() error { return nil })
			return err
		},
		"Grid.Survey": func() error {
			_, err := probes.Grid{From: []*harness.Node{from}, To: []probes.Target{to}}.Survey(ctx)
			return err
		},
		"Reach":          does(probes.Reach(to, icmp).WithContext(ctx)),
		"BeIsolatedFrom": does(probes.BeIsolatedFrom(to, icmp).WithContext(ctx)),
		"BeUnansweredBy": does(probes.BeUnansweredBy(to, icmp).WithContext(ctx)),
		"BeRefusedBy":    does(probes.BeRefusedBy(to, tcp).WithContext(ctx)),
		"BeRejectedBy":   does(probes.BeRejectedBy("fw", to, tcp).WithContext(ctx)),
	}
}

// nodeCalls take a node by itself.
func nodeCalls(ctx context.Context, node, other *harness.Node) map[string]func() error {
	return map[string]func() error{
		"WhoHas": func() error {
			_, err := probes.WhoHas(ctx, node, "lan", netip.MustParseAddr("10.0.1.1"), 0)
			return err
		},
		"WhoHears": func() error {
			_, err := probes.WhoHears(ctx, node, "lan", netip.MustParseAddr("224.0.0.1"), probes.UDP(7))
			return err
		},
		"Lift": func() error { return probes.Lift(node, evidence.Cause{Kind: evidence.Drop}) },
		"fence.Check": func() error {
			_, err := fence.Check(ctx, node, fence.World{Outside: other, Free: other})
			return err
		},
		"fence.Check of a world": func() error {
			_, err := fence.Check(ctx, other, fence.World{Outside: node, Free: other})
			return err
		},
		"fence.Connect": func() error { _, err := fence.Connect(ctx, node, fence.World{Outside: other}); return err },
		"fence.BeClosed": func() error {
			_, err := fence.BeClosed(fence.World{Outside: other, Free: other}).WithContext(ctx).Match(node)
			return err
		},
	}
}

// labCalls take a lab.
func labCalls(ctx context.Context, lab *harness.Lab) map[string]func() error {
	return map[string]func() error{
		"Survey":       func() error { _, err := probes.Survey(ctx, lab, probes.ICMP()); return err },
		"WatchSurvey":  func() error { _, err := probes.WatchSurvey(ctx, lab, probes.ICMP()); return err },
		"Cover":        func() error { _, err := policies.Cover(ctx, lab, "fw"); return err },
		"Of":           func() error { _, err := policies.Of(ctx, lab, "fw"); return err },
		"Compare":      func() error { _, err := policies.Compare(ctx, lab, lab); return err },
		"CompareRules": func() error { _, err := policies.CompareRules(ctx, lab, "fw", "", ""); return err },
		"BehaveLike":   func() error { _, err := policies.BehaveLike(lab).WithContext(ctx).Match(lab); return err },
	}
}
