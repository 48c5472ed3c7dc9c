package harness_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

func TestPartitionsThatAreRefused(t *testing.T) {
	t.Parallel()
	lab, other := harness.Up(t, limited()), twoOnASwitch(t, "other")
	a, b := lab.Node("a"), lab.Node("b")
	for want, groups := range map[string][]harness.Group{
		"partition limited: there is one group alone":                {},
		"there is one group alone: leave a node out":                 {{a, b, lab.Node("fw"), lab.Node("c")}},
		"node a is there twice: leave one out":                       {{a, b}, {a}},
		"group 2 has a node that is none of this lab's: take it out": {{a}, {other.Node("a")}},
		"group 1 has a node that is none of this lab's: take it out": {{nil}},
	} {
		if err := lab.Partition(groups...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if lab.Parted() != nil || lab.Heal() != nil {
		t.Error("something is cut:", lab.Parted())
	}
}

// A twin is cut as the lab is, and a lab that is cut cannot be changed.
func TestTwinsOfPartitions(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, limited())
	a, b := lab.Node("a"), lab.Node("b")
	for _, groups := range [][]harness.Group{{{a}}, {{a, b}, {lab.Node("c")}}} {
		if err := lab.Partition(groups...); err != nil {
			t.Fatal(err)
		}
		twin, err := lab.Twin()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(twin.Parted()), fmt.Sprint(lab.Parted()); got != want || want == "map[]" {
			t.Errorf("%s, not %s", got, want)
		}
		twin.Down()
		if err := lab.Change(func(n *topo.Network) { n.Host("d", n.Segment("lan")) }); err == nil || !strings.Contains(err.Error(), "call Heal first") {
			t.Error(err)
		}
		if err := b.Port("lan").Down(); err != nil {
			t.Error(err)
		}
		if err := b.Port("lan").Up(); err != nil { // though the others do not hear it
			t.Error(err)
		}
	}
	if err := lab.Heal(); err != nil {
		t.Fatal(err)
	}
	same(t, lab)
	if err := lab.Change(func(n *topo.Network) { n.Host("d", n.Segment("lan")) }); err != nil {
		t.Error(err)
	}
}

// Who has nobody to pass packets to has its addresses all the same, as the control by mutation
// compares.
func TestAPortThatNobodyHearsIsUp(t *testing.T) {
	t.Parallel()
	network := topo.New("alone")
	lan := network.Switch("lan", "fd00:1::/64")
	network.Host("a", lan)
	network.Host("b", lan)
	lab := harness.Up(t, network)
	a := lab.Node("a")
	if err := lab.Partition(harness.Group{a}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := a.Port("lan").Down(); err != nil {
			t.Fatal(err)
		}
		if err := a.Port("lan").Up(); err != nil {
			t.Fatal(err)
		}
		routes, err := a.Netlink().RouteGet(a.Addrs()[0].AsSlice())
		if err != nil || len(routes) != 1 || routes[0].Type != unix.RTN_LOCAL {
			t.Fatalf("%v: %v: its own address is not there when Up returns", err, routes)
		}
	}
}
