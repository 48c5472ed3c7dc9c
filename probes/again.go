package probes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
)

// lookBound is how long looking into a failure may take besides its probe, on a
// machine that is busy.
const lookBound = 10 * time.Second

// onceMore is a failure that is looked into when somebody reads it: the probe is
// asked once more, under watch. An Eventually makes many failures, and prints one.
type onceMore struct {
	text  string
	watch func() string
	once  sync.Once
	saw   string
}

// watchOnPrint makes err tell what a repetition of its probe under watch shows.
func watchOnPrint(ctx context.Context, err error, from *harness.Node, to Target, p Probe) error {
	return &onceMore{text: err.Error(), watch: func() string {
		// The failure may be that the context is over.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.bound()+lookBound)
		defer cancel()
		return lookInto(ctx, from, to, p)
	}}
}

func lookInto(ctx context.Context, from *harness.Node, to Target, p Probe) string {
	result, err := Watch(ctx, from, to, p)
	if err != nil {
		return fmt.Sprintf("once more, under watch: %v", err)
	}
	lines := []string{"once more, under watch:"}
	for _, r := range result.All() {
		lines = append(lines, "  "+r.String())
		if r.Cause != nil {
			lines = append(lines, "    "+r.Cause.String())
		}
		lines = append(lines, seen(r))
	}
	return strings.Join(lines, "\n")
}

// Error is the failure, and what the probe came to under watch.
func (e *onceMore) Error() string {
	e.once.Do(func() { e.saw = e.watch() })
	return e.text + "\n" + e.saw
}

// GomegaString keeps Gomega from printing what a failure is made of.
func (e *onceMore) GomegaString() string { return "as told above" }
