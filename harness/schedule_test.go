package harness_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	lab := twoOnASwitch(t, "scheduled")
	var mu sync.Mutex
	var done []time.Duration
	begun := time.Now()
	note := func() error {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, time.Since(begun))
		return nil
	}
	const apart = 20 * time.Millisecond
	if err := lab.Schedule(t.Context(), harness.Step{Do: note}, harness.Step{After: apart, Do: note}, harness.Step{After: apart, Do: note})(); err != nil {
		t.Fatal(err)
	}
	if len(done) != 3 || done[1] < apart || done[2] < 2*apart {
		t.Error(done)
	}
	nope := errors.New("nope")
	err := lab.Schedule(t.Context(), harness.Step{Do: func() error { return nope }}, harness.Step{Do: note})()
	if !errors.Is(err, nope) || !strings.Contains(err.Error(), "schedule of lab scheduled: step 1: nope") || len(done) != 3 {
		t.Error(err, done)
	}
	if err := lab.Schedule(t.Context(), harness.Step{})(); err == nil || !strings.Contains(err.Error(), "there is no function to call") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait := lab.Schedule(ctx, harness.Step{After: time.Hour, Do: note})
	cancel()
	if err := wait(); err != nil || len(done) != 3 {
		t.Error(err, done)
	}
	lab.Schedule(t.Context(), harness.Step{After: time.Hour, Do: note}) // ends with the lab
}

// A port that flaps is down and up by turns, and up at the end.
func TestAPortFlaps(t *testing.T) {
	t.Parallel()
	lab := twoOnASwitch(t, "flapping")
	port := lab.Node("a").Port("lan")
	if err := port.Flap(t.Context(), 0, time.Second); err == nil || !strings.Contains(err.Error(), "node a: port lan: flap: say how long") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait := lab.Schedule(ctx, harness.Step{Do: func() error { return port.Flap(ctx, 5*time.Millisecond, 5*time.Millisecond) }})
	was, turns := true, 0
	for deadline := time.Now().Add(time.Minute); turns < 5 && time.Now().Before(deadline); {
		link, err := lab.Node("a").Netlink().LinkByName("lan")
		if err != nil {
			t.Fatal(err)
		}
		if is := link.Attrs().RawFlags&1 != 0; is != was { // IFF_UP
			was, turns = is, turns+1
		}
	}
	cancel()
	if err := wait(); err != nil || turns < 5 {
		t.Error(turns, err)
	}
	arrives(t, lab.Node("a"), lab.Node("b"), lab.Node("b").Addrs()...)
	same(t, lab)
}
