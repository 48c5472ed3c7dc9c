package harness_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

type keepKey struct{}

func TestKeepMakesOnceALab(t *testing.T) {
	network := topo.New("keep")
	network.Host("alice", network.Switch("lan", "10.0.1.0/24"))
	one, two := harness.Up(t, network), harness.Up(t, network)
	made := 0
	next := func() any { made++; return made }
	for range 2 {
		if got := one.Keep(keepKey{}, next); got != 1 {
			t.Errorf("the first lab keeps %v, not what was made first", got)
		}
	}
	if got := two.Keep(keepKey{}, next); got != 2 {
		t.Errorf("the second lab keeps %v: it is to have a value of its own", got)
	}
	one.Down()
	if got := one.Keep(keepKey{}, next); got != 3 {
		t.Errorf("a lab that is down still keeps %v", got)
	}
}
