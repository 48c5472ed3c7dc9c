package topo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// interfaces are the names that a node's ports on switches of those names get,
// with the node's ends in the fabric and the bridges.
func interfaces(t *testing.T, node string, segments ...string) (ports, outers, bridges []string) {
	t.Helper()
	network := topo.New("names")
	var at []topo.Attachment
	for _, name := range segments {
		at = append(at, network.Switch(name))
	}
	network.Host(node, at...)
	plan := mustPlan(t, network)
	for i, port := range plan.Nodes[0].Ports {
		ports = append(ports, port.Name)
		outers = append(outers, plan.Segments[i].Ports[0].Outer)
		bridges = append(bridges, plan.Segments[i].Bridge)
	}
	return ports, outers, bridges
}

func TestInterfaceIsNamedAfterItsSegment(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ segments, want string }{
		{"lan", "lan"},
		{"lan dmz", "lan dmz"},
		{"tenant-3/lan", "lan"},
		{"a/b/lan", "lan"},
		{"abcdefghijklmno", "abcdefghijklmno"},
		{"abcdefghijklmnop", "abcdefghijklmno"},
		{"a/lan b/lan c/lan", "lan lan-2 lan-3"},
		{"lan-2 a/lan b/lan", "lan-2 lan lan-3"},
		{"a/lan b/lan lan-2", "lan lan-2 lan-2-2"},
		{"management-network-1 management-network-2 management-network-3", "management-netw management-ne-2 management-ne-3"},
		{"lo all default", "lo-2 all-2 default-2"},
		{"eth0.5", "eth0.5"},
		{"bücher", "b_cher"},
		{"a:b a%d a*", "a_b a_d a_"},
		{". .. lan/ /", "port port-2 port-3 port-4"},
		{"abcdefghijklmnü", "abcdefghijklmn_"},
		{"LAN lan", "LAN lan"},
		{"AZaz09-_.", "AZaz09-_."}, // what a plain name may be made of
		{"@[`{:;~", "_______"},
	} {
		ports, _, bridges := interfaces(t, "a", strings.Fields(row.segments)...)
		if got := strings.Join(ports, " "); got != row.want {
			t.Errorf("%s: the ports are %q, not %q", row.segments, got, row.want)
		}
		if got := strings.Join(bridges, " "); got != row.want {
			t.Errorf("%s: the bridges are %q, not %q", row.segments, got, row.want)
		}
	}
}

func TestEndsInTheFabricAreNamedAfterTheirNode(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ node, segments, want string }{
		{"client", "lan dmz", "client client-2"},
		{"tenant-3/client", "lan", "client"},
		{"lan", "lan dmz", "lan-2 lan-3"},
		{"a-node-with-a-long-name", "lan dmz", "a-node-with-a-l a-node-with-a-2"},
	} {
		_, outers, _ := interfaces(t, row.node, strings.Fields(row.segments)...)
		if got := strings.Join(outers, " "); got != row.want {
			t.Errorf("%s on %s: %q, not %q", row.node, row.segments, got, row.want)
		}
	}
}

func TestAThousandNamesThatAreCutToTheSame(t *testing.T) {
	t.Parallel()
	var segments []string
	for i := range 1000 {
		segments = append(segments, fmt.Sprintf("a-name-of-many-letters-%d", i))
	}
	ports, outers, _ := interfaces(t, "a", segments...)
	seen := map[string]bool{}
	for _, name := range append(ports, outers...) {
		if len(name) > 15 || seen[name] {
			t.Errorf("%q is too long or there twice", name)
		}
		seen[name] = true
	}
	if ports[999] != "a-name-of--1000" {
		t.Errorf("the last is %q", ports[999])
	}
}

func TestAWireHasNoEndInTheFabric(t *testing.T) {
	t.Parallel()
	network := topo.New("wire")
	wire := network.Wire("wire")
	network.Host("a", wire)
	network.Host("b", wire)
	segment := mustPlan(t, network).Segments[0]
	if segment.Bridge != "" || segment.Ports[0].Outer != "" || segment.Ports[1].Outer != "" {
		t.Errorf("%+v", segment)
	}
}
