package harness_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
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
		printer.AddRoute(topo.Route{To: "198.51.100.0/24", Via: fw.String()}),
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
	if plan, _ := lab.Plan().Node("printer"); slices.ContainsFunc(plan.Routes, func(r topo.RoutePlan) bool { return r.To.String() == "198.51.100.0/24" }) {
		t.Errorf("the route by the port before is planned: %v", plan.Routes)
	}
	same(t, lab)
}

// Tunnels and bridges that a change which failed had taken away are as they were.
func TestDevicesAfterAChangeThatFails(t *testing.T) {
	harness.Require(t, harness.VXLAN, harness.MACVLAN, harness.NftTool)
	t.Parallel()
	network := topo.New("over")
	lan := network.Switch("lan", "10.0.0.0/24")
	core, hall := network.Switch("core", "10.0.1.0/24"), network.Switch("hall", "10.0.2.0/24")
	over := network.VXLAN("over", core, 7, "10.9.0.0/24")
	side := network.MACVLAN("side", core, "10.8.0.0/24")
	network.Host("b", core, over)
	network.Host("a", core, over, side)
	bridge := network.Host("c", lan, hall).Bridge("br0", lan, hall)
	lab := harness.Up(t, network)
	before := standing(t, lab)
	for what, take := range map[string]func(n *topo.Network){
		"a tunnel":             func(n *topo.Network) { n.Node("a").Detach(n.Segment("over")) },
		"a bridge and a port":  func(n *topo.Network) { n.Remove(bridge, n.Segment("lan")) },
		"nodes with their own": func(n *topo.Network) { n.Remove(n.Node("a"), n.Node("c")) },
	} {
		err := lab.Change(func(n *topo.Network) { take(n); n.Node("b").Nft("nonsense") })
		if err == nil || strings.Contains(err.Error(), "undone") {
			t.Error(what, err)
		}
		stands(t, before, standing(t, lab))
		arrives(t, lab.Node("a"), lab.Node("b"), lab.Node("b").Addrs()...)
		same(t, lab)
	}
}
