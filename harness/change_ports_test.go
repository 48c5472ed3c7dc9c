package harness_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// A port that a node got by a change has what was chosen of the switch's end, to which more
// is added as ever.
func TestSwitchPortsOfAChange(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	if err := lab.Change(func(n *topo.Network) { n.Node("server").Attach(n.Segment("lan").Isolated()) }); err != nil {
		t.Fatal(err)
	}
	port := lab.Node("server").Port("lan")
	if got := port.Switch().String(); got != "isolated" {
		t.Errorf("%q was chosen", got)
	}
	if err := port.SetFlood(false); err != nil {
		t.Fatal(err)
	}
	if ports, _ := ends(t, lab); !ports["server"].Isolated || !ports["server"].NoFlood {
		t.Errorf("%+v", ports["server"])
	}
	same(t, lab)
}
