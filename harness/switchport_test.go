package harness_test

import (
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// ends are what the kernel has of a switch's ports, by node, and their entries that stay.
func ends(t *testing.T, lab *harness.Lab) (ports map[string]inspect.BridgePort, static map[string][]string) {
	t.Helper()
	read, err := lab.Switch("lan")
	if err != nil {
		t.Fatal(err)
	}
	ports, static = map[string]inspect.BridgePort{}, map[string][]string{}
	for _, port := range read {
		ports[port.Node] = port.Link.BridgePort
		for _, entry := range port.Entries {
			if entry.State&netlink.NUD_NOARP != 0 {
				static[port.Node] = append(static[port.Node], entry.MAC)
			}
		}
		slices.Sort(static[port.Node])
	}
	return ports, static
}

// twoOnASwitch are hosts a and b.
func twoOnASwitch(t *testing.T, name string) *harness.Lab {
	t.Helper()
	network := topo.New(name)
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("a", lan)
	network.Host("b", lan)
	return harness.Up(t, network)
}

func TestPortsOfASwitch(t *testing.T) {
	t.Parallel()
	network := topo.New("ports")
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	network.Host("guest", lan.Isolated().NoLearning())
	network.Host("known", lan.MAC("02:00:00:00:00:01").Static().Static("02:00:00:00:00:07").NoFlood())
	network.Host("plain", lan)
	lab := harness.Up(t, network)
	ports, static := ends(t, lab)
	if want := (map[string]inspect.BridgePort{
		"guest": {STP: "forwarding", Isolated: true, NoLearning: true}, "known": {STP: "forwarding", NoFlood: true}, "plain": {STP: "forwarding"},
	}); !reflect.DeepEqual(ports, want) {
		t.Errorf("%+v, not %+v", ports, want)
	}
	if want := (map[string][]string{"known": {"02:00:00:00:00:01", "02:00:00:00:00:07"}}); !reflect.DeepEqual(static, want) {
		t.Errorf("%v, not %v", static, want)
	}

	guest, known := lab.Node("guest").Port("lan"), lab.Node("known").Port("lan")
	for what, do := range map[string]func() error{
		"isolated": func() error { return guest.SetIsolated(false) }, "learning": func() error { return guest.SetLearning(true) },
		"flood": func() error { return known.SetFlood(true) },
		"static": func() error {
			return known.SetStatic(net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 8})
		},
		"plain": func() error { return lab.Node("plain").Port("lan").SetIsolated(true) },
	} {
		if err := do(); err != nil {
			t.Fatal(what, err)
		}
	}
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Down()
	for _, l := range []*harness.Lab{lab, twin} {
		ports, static = ends(t, l)
		if want := (map[string]inspect.BridgePort{
			"guest": {STP: "forwarding"}, "known": {STP: "forwarding"}, "plain": {STP: "forwarding", Isolated: true},
		}); !reflect.DeepEqual(ports, want) {
			t.Errorf("%+v, not %+v", ports, want)
		}
		if want := []string{"02:00:00:00:00:01", "02:00:00:00:00:08"}; !slices.Equal(static["known"], want) {
			t.Errorf("%v, not %v", static, want)
		}
		if got := l.Node("known").Port("lan").Switch().String(); got != "static 02:00:00:00:00:01, static 02:00:00:00:00:08" {
			t.Error(got)
		}
	}
}

func TestALockedPortOfASwitch(t *testing.T) {
	t.Parallel()
	lab := twoOnASwitch(t, "locked")
	if ports, err := lab.Switch("lan"); ports != nil || err != nil {
		t.Errorf("of a plain switch there is nothing to tell: %v %v", ports, err)
	}
	err := lab.Node("a").Port("lan").SetLocked(true)
	if errors.Is(err, errors.ErrUnsupported) {
		harness.Require(t, harness.Kernel(5, 18))
	}
	if err != nil {
		t.Fatal(err)
	}
	if ports, _ := ends(t, lab); !ports["a"].Locked || ports["b"].Locked {
		t.Errorf("%+v", ports)
	}
	lab.Down()
	if err := lab.Node("a").Port("lan").SetLocked(false); err == nil || !strings.Contains(err.Error(), "down") {
		t.Error(err)
	}
}

func TestMistakesAboutPortsOfASwitch(t *testing.T) {
	t.Parallel()
	network := topo.New("wired")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("a", wire)
	network.Host("b", wire)
	lab := harness.Up(t, network)
	port := lab.Node("a").Port("wire")
	for want, err := range map[string]error{
		"node a: port wire: it is on no switch: make its segment one":  port.SetIsolated(true),
		`node a: port wire: static entry: MAC "02:00": give six bytes`: port.SetStatic(net.HardwareAddr{2, 0}),
		"switch lan: the lab has no such segment; it has: wire":        second(lab.Switch("lan")),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if ports, err := lab.Switch("wire"); ports != nil || err != nil {
		t.Error(ports, err)
	}
	if !port.Switch().IsPlain() {
		t.Error(port.Switch())
	}
}

func second[T any](_ T, err error) error { return err }
