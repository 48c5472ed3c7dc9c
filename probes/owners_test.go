package probes_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
)

// Who has an address is told of a lab's nodes as they are, and not as they were when somebody
// was asked first.
func TestAnswererIsNamedAfterAChange(t *testing.T) {
	t.Parallel()
	network := topo.New("changes")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("client", lan)
	network.Host("server", lan)
	lab := harness.Up(t, network)
	closed := probes.UDP(99)
	asked := func(name string) {
		t.Helper()
		r, err := probes.Ask(t.Context(), lab.Node("client"), lab.Node(name), closed)
		if err != nil || r.Outcome != probes.Refused || r.By != name {
			t.Errorf("%s: %s %v", name, r, err)
		}
	}
	asked("server")
	if err := lab.Change(func(n *topo.Network) {
		n.Remove(n.Node("server"))
		n.Host("bench", n.Segment("lan"))
	}); err != nil {
		t.Fatal(err)
	}
	asked("bench")
	if err := lab.Change(func(n *topo.Network) { n.Host("late", n.Segment("lan")) }); err != nil {
		t.Fatal(err)
	}
	asked("bench")
	asked("late")
}
