package fence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

var errNoContext = errors.New("the context is nil: pass t.Context(), a SpecContext, or context.Background()")

// Check tries every channel out of the sandbox, and says of each what became of it. The
// error is for what could not be tried at all: a sandbox that sends nothing, no watch, a
// context that is over. It is never a verdict.
func Check(ctx context.Context, sandbox *harness.Node, world World) (Report, error) {
	began := time.Now()
	switch {
	case ctx == nil:
		return Report{}, fmt.Errorf("check a fence: %w", errNoContext)
	case sandbox.Lab() == nil:
		return Report{}, errors.New("check a fence: the sandbox is nil")
	case world.Outside.Lab() == nil || world.Free.Lab() == nil:
		return Report{}, errors.New("check a fence: World.Outside and World.Free are to be nodes")
	}
	labs := []*harness.Lab{sandbox.Lab()}
	for _, node := range []*harness.Node{world.Outside, world.Free, world.Gateway, world.Sibling} {
		if node != nil && node.Lab() != sandbox.Lab() {
			labs = append(labs, node.Lab())
		}
	}
	w, err := watch.Of(labs...)
	if err != nil {
		return Report{}, fmt.Errorf("check the fence of %s: %w", sandbox, err)
	}
	c := &check{ctx: ctx, watch: w, sandbox: sandbox, world: world, chains: map[*harness.Node]*rules.Chains{}}
	var r Report
	for _, channel := range channels {
		if err := ctx.Err(); err != nil {
			return r, fmt.Errorf("check the fence of %s: %w", sandbox, err)
		}
		f, err := channel.try(c)
		if err != nil {
			return r, fmt.Errorf("check the fence of %s: %s: %w", sandbox, channel.name, err)
		}
		f.Channel = channel.name
		r.Findings = append(r.Findings, f)
	}
	r.Took = time.Since(began)
	return r, nil
}

// check is one check under way.
type check struct {
	ctx     context.Context
	watch   *watch.Watch
	sandbox *harness.Node
	world   World
	islands map[*harness.Node]int // see apart
	chains  map[*harness.Node]*rules.Chains
}

// channel is a way out.
type channel struct {
	name string
	try  func(*check) (Finding, error)
}

func absent(why string) (Finding, error) { return Finding{State: Absent, Detail: why}, nil }

// Channels are the names of all channels, in the order in which they are tried.
func Channels() (names []string) {
	for _, c := range channels {
		names = append(names, c.name)
	}
	return names
}
