package harness_test

import (
	"net"
	"net/netip"
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

// What was chosen of a port that was taken away, or given to it, is none of another's that
// comes in its place.
func TestAPortInThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	printer, fw := lab.Node("printer"), netip.MustParseAddr("10.0.1.4")
	before := printer.Addrs()
	for _, err := range []error{
		printer.Port("lan").SetIsolated(true), printer.AddAddr("lan", netip.MustParsePrefix("10.0.1.77/24")),
		printer.AddNeighbour("lan", fw, net.HardwareAddr{2, 0, 0, 0, 0, 9}),
		lab.Change(func(n *topo.Network) { n.Node("printer").Detach(n.Segment("lan")) }),
		lab.Change(func(n *topo.Network) { n.Node("printer").Attach(n.Segment("lan").At("10.0.1.2", "fd00:1::2")) }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := printer.Port("lan").Switch(); !got.IsPlain() {
		t.Errorf("%s was chosen of the port before", got)
	}
	arrives(t, lab.Node("client"), printer, printer.Addrs()...)
	if after := printer.Addrs(); len(after) != len(before) {
		t.Errorf("it has %v, and before somebody gave it more %v", after, before)
	}
	same(t, lab)
}
