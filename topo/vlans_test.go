package topo_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// A firewall on a trunk with two VLANs, and hosts that know nothing of them.
func TestHostsThatDoNotTagAreOnTheVLAN(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk")
	staff := network.VLAN("staff", trunk, 100, "10.0.1.0/24", "fd00:1::/64")
	network.Router("fw", trunk, staff, network.VLAN("guests", trunk, 200, "10.0.2.0/24"))
	network.Host("pc", trunk.Access(100))
	network.Host("phone", trunk.Access(200).As("eth0"))
	network.Host("laptop", trunk.At("10.0.1.9").Access(100)).Route(topo.Route{To: "10.7.0.0/16", Via: "10.0.1.2"}, topo.Route{To: "10.8.0.0/16", Dev: staff})
	plan := mustPlan(t, network)
	for node, want := range map[string]string{
		"fw": "[] [10.0.1.1/24 fd00:1::1/64] [10.0.2.1/24]", "pc": "[10.0.1.2/24 fd00:1::2/64]", "phone": "[10.0.2.2/24]", "laptop": "[10.0.1.9/24 fd00:1::3/64]",
	} {
		if got := addresses(nodeOf(t, plan, node)); got != want {
			t.Errorf("%s has %s, not %s", node, got, want)
		}
	}
	same(t, routes(nodeOf(t, plan, "pc")), []string{"0.0.0.0/0 via 10.0.1.1 dev trunk"})
	same(t, routes(nodeOf(t, plan, "laptop")), []string{"10.7.0.0/16 via 10.0.1.2 dev trunk", "10.8.0.0/16 dev trunk", "0.0.0.0/0 via 10.0.1.1 dev trunk"})
	same(t, routes(nodeOf(t, plan, "phone")), []string{"0.0.0.0/0 via 10.0.2.1 dev eth0"})
	if got, _ := plan.Nearest("pc", "fw", false); got != addr("10.0.1.1") {
		t.Errorf("pc sees fw at %s", got)
	}
	if way, ok := plan.Way("pc", addr("10.0.2.2")); !ok || way.Via != addr("10.0.1.1") {
		t.Errorf("%+v %v", way, ok)
	}
	port := nodeOf(t, plan, "pc").Ports[0]
	if port.Segment != "staff" || port.Over != "trunk" || port.Wired() != "trunk" || port.Name != "trunk" {
		t.Errorf("%+v", port)
	}
	if fw := nodeOf(t, plan, "fw"); fmt.Sprint(fw.Ports[0].Tags) != "[100 200]" || fw.Ports[1].Wired() != "staff" {
		t.Errorf("%+v", fw.Ports)
	}
	planned, _ := plan.Segment("staff")
	if got := fmt.Sprint(planned.Ports); got != "[{fw staff } {pc trunk } {laptop trunk }]" {
		t.Error(got)
	}
	for _, want := range []string{"trunk (staff) [access 100]", "eth0 (guests) [access 200]", "staff    vlan    1500  10.0.1.0/24 fd00:1::/64  fw, pc, laptop"} {
		if !strings.Contains(plan.String(), want) {
			t.Errorf("%q is not in\n%s", want, plan)
		}
	}
}

func TestVLANsOfASwitchByItself(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("a", lan.Access(100))
	network.Host("b", lan.Access(100).Isolated())
	network.Host("c", lan.Trunk(100, 200))
	network.Host("d", lan.Trunk(200).Trunk(300).Access(7))
	network.Host("e", lan)
	plan := mustPlan(t, network)
	for node, want := range map[string]string{"a": "access 100", "b": "isolated, access 100", "c": "trunk 100 200", "d": "access 7, trunk 200 300", "e": ""} {
		port := nodeOf(t, plan, node).Ports[0]
		if got := port.Switch.String(); got != want || port.Switch.IsPlain() != (want == "") || port.Segment != "lan" || port.Over != "" {
			t.Errorf("%s: %q, not %q, on %s", node, got, want, port.Segment)
		}
	}
	if got := addresses(nodeOf(t, plan, "e")); got != "[10.0.1.5/24]" {
		t.Error(got)
	}
	carried := map[int]string{}
	for id, ports := range plan.VLANs("lan") {
		for _, ref := range ports {
			carried[id] += ref.Node
		}
	}
	if want := (map[int]string{1: "e", 7: "d", 100: "abc", 200: "cd", 300: "d"}); !reflect.DeepEqual(carried, want) {
		t.Errorf("%v, not %v", carried, want)
	}
	if got := plan.VLANs("nowhere"); got != nil {
		t.Error(got)
	}
}

func TestPortsCarryTheTagsOfTheirNodes(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk", "10.0.0.0/24")
	red, blue := network.VLAN("red", trunk, 100, "10.0.1.0/24"), network.VLAN("blue", trunk, 200, "10.0.2.0/24")
	network.Router("r", trunk, blue, red)
	network.Host("a", trunk.Trunk(100), red, blue)
	network.Host("b", trunk.Access(100), blue)
	bonded := network.Host("c", trunk.As("eth0"), trunk.As("eth1"), red)
	bonded.Bond("bond0", topo.LACP, trunk.As("eth0"), trunk.As("eth1"))
	plan := mustPlan(t, network)
	carried := func(node string, port int) string {
		p := nodeOf(t, plan, node).Ports[port]
		untagged, tagged := p.Switch.Carried(p.Tags)
		return fmt.Sprint(untagged, tagged)
	}
	for want, got := range map[string]string{
		"1 [100 200]": carried("r", 0), "0 [100]": carried("a", 0), "100 [200]": carried("b", 0), "1 [100]": carried("c", 0),
	} {
		if got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	if carried("c", 1) != carried("c", 0) {
		t.Errorf("a bond's second port carries %s", carried("c", 1))
	}
	if untagged, tagged := (topo.SwitchPort{}).Carried([]int{1, 5}); untagged != 0 || fmt.Sprint(tagged) != "[1 5]" {
		t.Errorf("who tags VLAN 1 gets %d without a tag, and %v", untagged, tagged)
	}
	if plain := mustPlan(t, network).VLANs("red"); plain != nil {
		t.Errorf("a VLAN is no switch: %v", plain)
	}
}

// Over a VLAN others may be made, and by a port that does not tag as well.
func TestOverlaysOverAVLANByAnAccessPort(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk")
	red := network.VLAN("red", trunk, 100, "10.0.1.0/24")
	over := network.VXLAN("over", red, 7, "10.9.0.0/24")
	network.Host("a", trunk, red, over)
	network.Host("b", trunk.Access(100), over)
	same(t, stacked(nodeOf(t, mustPlan(t, network), "b")), []string{"trunk veth", "over vxlan on trunk 7 from 10.0.1.2 to [10.0.1.1] mtu 1450"})
}

func TestNoVLANsWhereNoneWasChosen(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk")
	red := network.VLAN("red", trunk, 100, "10.0.1.0/24")
	network.Host("a", trunk, red)
	network.Host("b", trunk, red)
	if got := mustPlan(t, network).VLANs("trunk"); got != nil {
		t.Errorf("%v", got)
	}
}

func TestMistakesAboutVLANs(t *testing.T) {
	t.Parallel()
	lan := func(choose func(lan *topo.Segment) topo.Attachment) func(*topo.Network) { return onLan(nil, choose) }
	check(t, []mistake{
		one("node b: segment lan: VLAN 0: it is between 1 and 4094", lan(func(lan *topo.Segment) topo.Attachment { return lan.Access(0) })),
		one("node b: segment lan: VLAN 4095: it is between 1 and 4094", lan(func(lan *topo.Segment) topo.Attachment { return lan.Access(4095) })),
		one("node b: segment lan: VLAN -1: it is between 1 and 4094", lan(func(lan *topo.Segment) topo.Attachment { return lan.Trunk(100, -1) })),
		one("node b: segment lan: a trunk without a VLAN: give it one", lan(func(lan *topo.Segment) topo.Attachment { return lan.Trunk() })),
		one("node b: segment lan: VLAN 100 is there twice: leave one out", lan(func(lan *topo.Segment) topo.Attachment { return lan.Trunk(100, 200).Trunk(100) })),
		one("node b: segment lan: VLAN 100 is that of frames without a tag: leave it out of the trunk's, or of Access",
			lan(func(lan *topo.Segment) topo.Attachment { return lan.Trunk(100, 200).Access(100) })),
		{"on a wire", func(n *topo.Network) {
			wire := n.Wire("wire")
			n.Host("a", wire.Access(100))
			n.Host("b", wire.Trunk())
		}, []string{
			"node a: segment wire: it is a wire, and something of a switch's port was chosen: make it a switch, or leave that out",
			"node b: segment wire: it is a wire, and something of a switch's port was chosen: make it a switch, or leave that out",
		}},
		one("node a: segment red: it is a vlan, and something of a switch's port was chosen: make it a switch, or leave that out", func(n *topo.Network) {
			trunk := n.Switch("trunk")
			n.Host("a", trunk, n.VLAN("red", trunk, 100).Access(100))
		}),
		one("node a: segment red: VLAN 100 is that of frames without a tag at its port of trunk: leave this out, or Access there", func(n *topo.Network) {
			trunk := n.Switch("trunk")
			n.Host("a", trunk.Access(100), n.VLAN("red", trunk, 100))
		}),
		one("node c: segment trunk: address 10.0.1.9 is node b's already: choose another, or say that it is meant with Duplicate", func(n *topo.Network) {
			trunk := n.Switch("trunk")
			n.Host("a", trunk, n.VLAN("red", trunk, 100, "10.0.1.0/24"))
			n.Host("b", trunk.Access(100).At("10.0.1.9"))
			n.Host("c", trunk.Access(100).At("10.0.1.9"))
		}),
	})
}

func TestACopyKeepsAccessPorts(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk")
	staff := network.VLAN("staff", trunk, 100, "10.0.1.0/24")
	network.Router("fw", trunk, staff)
	network.Host("pc", trunk.Access(100))
	plan := mustPlan(t, network)
	changed := network.Copy(plan)
	changed.Host("laptop", trunk.Access(100))
	changed.Node("fw").Attach(changed.VLAN("guests", trunk, 200, "10.0.2.0/24"))
	again := mustPlan(t, changed)
	for _, name := range []string{"trunk", "staff"} {
		before, _ := plan.Segment(name)
		after, _ := again.Segment(name)
		if !reflect.DeepEqual(before.Ports, after.Ports[:len(before.Ports)]) || len(after.Ports) != len(before.Ports)+1 {
			t.Errorf("%s: %v, then %v", name, before.Ports, after.Ports)
		}
	}
	if got := addresses(nodeOf(t, again, "pc")) + addresses(nodeOf(t, again, "laptop")); got != "[10.0.1.2/24][10.0.1.3/24]" {
		t.Error(got)
	}
	if got := fmt.Sprint(nodeOf(t, again, "fw").Ports[0].Tags); got != "[100 200]" {
		t.Error(got)
	}
}
