package harness_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

func tagged(network *topo.Network) *topo.Network {
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	red := network.VLAN("red", lan, 100, "10.0.1.0/24")
	network.Router("fw", lan, red)
	network.Host("pc", lan.Access(100))
	network.Host("native", lan.Access(7).Trunk(100, 200))
	network.Host("plain", lan)
	return network
}

func vlansOf(t *testing.T, lab *harness.Lab) map[string]string {
	t.Helper()
	ports, _ := ends(t, lab)
	all := map[string]string{}
	for node, port := range ports {
		if port.VLANs != nil {
			all[node] = fmt.Sprint(port.VLANs.PVID, port.VLANs.Untagged, port.VLANs.Tagged)
		}
	}
	return all
}

func TestVLANsOfPorts(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.VLANFiltering)
	lab := harness.Up(t, tagged(topo.New("vlans")))
	if got, want := vlansOf(t, lab), (map[string]string{"fw": "1 [1] [100]", "pc": "100 [100] []", "native": "7 [7] [100 200]", "plain": "1 [1] []"}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	for what, err := range map[string]error{
		"pc": lab.Node("pc").Port("lan").SetVLANs(0, 300), "plain": lab.Node("plain").Port("lan").SetVLANs(7), "native": lab.Node("native").Port("lan").SetVLANs(0),
	} {
		if err != nil {
			t.Fatal(what, err)
		}
	}
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Down()
	for _, l := range []*harness.Lab{lab, twin} {
		if got, want := vlansOf(t, l), (map[string]string{"fw": "1 [1] [100]", "pc": "0 [] [300]", "native": "1 [1] []", "plain": "7 [7] []"}); !reflect.DeepEqual(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
	for _, node := range []string{"pc", "plain"} {
		if err := lab.Node(node).Port("lan").SetVLANs(0); err != nil {
			t.Fatal(err)
		}
	}
	if got := vlansOf(t, lab); len(got) != 0 {
		t.Errorf("a switch without VLANs keeps some apart: %v", got)
	}
}

func TestIslandsOfVLANs(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.VLANFiltering)
	network := topo.New("islands")
	lan := network.Switch("lan", "10.0.0.0/24")
	network.Host("a", lan.Access(100))
	network.Host("b", lan.Access(100))
	network.Host("c", lan.Access(200))
	network.Host("d", lan.Trunk(200))
	network.Host("e", lan)
	lab := harness.Up(t, network)
	for pair, want := range map[[2]string]bool{{"a", "b"}: true, {"a", "c"}: false, {"c", "d"}: true, {"a", "e"}: false, {"e", "d"}: false} {
		if got := joined(t, lab.Node(pair[0]), lab.Node(pair[1])); got != want {
			t.Errorf("%v: %v", pair, got)
		}
	}
}

func TestMistakesAboutVLANs(t *testing.T) {
	t.Parallel()
	network := topo.New("wired")
	wire, lan := network.Wire("wire", "10.0.0.0/24"), network.Switch("lan", "10.0.1.0/24")
	network.Host("a", wire, lan)
	network.Host("b", wire, lan)
	lab := harness.Up(t, network)
	for want, err := range map[string]error{
		"node a: port wire: it is on no switch: make its segment one":    lab.Node("a").Port("wire").SetVLANs(100),
		"node a: port lan: VLAN 4095: it is between 1 and 4094":          lab.Node("a").Port("lan").SetVLANs(4095),
		"node a: port lan: VLAN 7 is there twice: leave one out":         lab.Node("a").Port("lan").SetVLANs(0, 7, 7),
		"node a: port lan: VLAN -1: it is between 1 and 4094\nVLAN 5000": lab.Node("a").Port("lan").SetVLANs(-1, 5000),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if got := lab.Node("a").Port("lan").Switch(); !got.IsPlain() {
		t.Error(got)
	}
}

// A kernel that keeps no VLANs apart says so, whenever it is asked to.
func TestVLANsThatTheKernelLacks(t *testing.T) {
	t.Parallel()
	lab := twoOnASwitch(t, "lacking")
	err := lab.Node("a").Port("lan").SetVLANs(100)
	if err == nil {
		if got := lab.Node("a").Port("lan").Switch().Access; got != 100 {
			t.Error(got)
		}
		return
	}
	want := "node a: port lan: the switch's end: switch lan: bridge VLAN filtering is not in this kernel (CONFIG_BRIDGE_VLAN_FILTERING)"
	if !errors.Is(err, errors.ErrUnsupported) || err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
	if !lab.Node("a").Port("lan").Switch().IsPlain() {
		t.Error("it is noted as done")
	}
	declared := topo.New("lacking")
	declared.Host("a", declared.Switch("lan", "10.0.1.0/24").Access(100))
	ended := record(t, func(tb harness.TB) { harness.Up(tb, declared) })
	if want := "up: switch lan: bridge VLAN filtering is not in this kernel (CONFIG_BRIDGE_VLAN_FILTERING)"; ended.fatal != want {
		t.Errorf("%q, not %q", ended.fatal, want)
	}
}
