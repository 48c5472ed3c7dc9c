package probes

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
)

// account is what became of all checks that were controlled by mutation. It is
// written when the tests have ended.
var account accounts

type accounts struct {
	mu   sync.Mutex
	once sync.Once
	good int
	bad  map[string][]Result // what was not checked, by the reason
}

func (a *accounts) turned() {
	a.once.Do(func() { harness.OnEnd(a.write) })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.good++
}

func (a *accounts) not(r Result, why notChecked) {
	a.once.Do(func() { harness.OnEnd(a.write) })
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bad == nil {
		a.bad = map[string][]Result{}
	}
	a.bad[why.why.Error()] = append(a.bad[why.why.Error()], r)
}

func (a *accounts) write(w io.Writer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	bad := 0
	for _, results := range a.bad {
		bad += len(results)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "control by mutation: %d checks of isolation turned when what they name was lifted, %d were not checked\n", a.good, bad)
	for _, why := range slices.Sorted(maps.Keys(a.bad)) {
		r := a.bad[why][0]
		fmt.Fprintf(&text, "  not checked: %s -> %s %s, %s", r.From, r.To, r.Probe, r.Cause.Word())
		if more := len(a.bad[why]) - 1; more > 0 {
			fmt.Fprintf(&text, ", and %d like it", more)
		}
		fmt.Fprintf(&text, ": %s\n", why)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
