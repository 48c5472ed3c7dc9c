package topo_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/nstest/nstest/topo"
)

// A network that was found: a -- lan -- gw -- wan -- b, and what Owners, Nearest and Way
// say of it.
func TestFound(t *testing.T) {
	t.Parallel()
	port := func(segment, name, addr string) topo.PortPlan {
		return topo.PortPlan{Segment: segment, Name: name, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	plan := topo.Found("found", []topo.SegmentPlan{
		{Name: "lan", Kind: topo.KindSwitch, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}},
		{Name: "wan", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.9.0/24")}},
	}, []topo.NodePlan{
		{Name: "a", Ports: []topo.PortPlan{port("lan", "eth0", "10.0.1.1/24")}},
		{Name: "gw", Router: true, Ports: []topo.PortPlan{port("lan", "in", "10.0.1.254/24"), port("wan", "out", "10.0.9.254/24")}},
		{Name: "b", Ports: []topo.PortPlan{port("wan", "eth0", "10.0.9.1/24")}},
	})
	if got := plan.Owners(addr("10.0.9.1")); !reflect.DeepEqual(got, []string{"b"}) {
		t.Errorf("owners: %q", got)
	}
	if got, ok := plan.Nearest("b", "gw", false); got != addr("10.0.9.254") || !ok {
		t.Errorf("nearest: %s, %v", got, ok)
	}
	if got, ok := plan.Way("a", addr("10.0.9.1")); got.Via != addr("10.0.1.254") || got.Dev != "eth0" || !ok {
		t.Errorf("way: %v, %v", got, ok)
	}
	if got, ok := plan.Way("a", addr("10.0.9.2")); ok {
		t.Errorf("a way to nobody: %v", got)
	}
}
