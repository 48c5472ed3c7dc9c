package topo_test

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestWay(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, spread())
	twice := topo.New("twice")
	left, right := twice.Switch("left", "10.0.0.0/24"), twice.Switch("right", "10.0.0.0/24")
	twice.Host("here", left.At("10.0.0.1"))
	twice.Host("there", right.At("10.0.0.2"))
	twice.Router("gw", left.At("10.0.0.9"), right.At("10.0.0.8")).NoRoutes()
	for _, row := range []struct {
		plan           *topo.Plan
		from, to, want string // want is gateway and port, "" for no way
	}{
		{plan, "a", "10.0.0.3", "- lan"},
		{plan, "a", "10.1.0.3", "10.0.0.2 lan"},
		{plan, "r1", "10.2.0.2", "10.1.0.2 mid"},
		{plan, "b", "fd00::1", ""}, // mid has no IPv6, r1 is not on far
		{plan, "a", "::ffff:10.1.0.3", "10.0.0.2 lan"},
		{plan, "r1", "192.0.2.1", "10.1.0.2 mid"}, // on a loopback
		{plan, "b", "10.8.0.1", ""},               // on an island
		{plan, "a", "10.0.0.77", ""},              // nobody's
		{plan, "a", "203.0.113.1", ""},
		{plan, "nobody", "10.0.0.1", ""},
		{plan, "lone", "192.0.2.9", ""},                   // its own
		{mustPlan(t, twice), "gw", "10.0.0.2", "- right"}, // where its owner is, of two equal prefixes
		{mustPlan(t, twice), "gw", "10.0.0.1", "- left"},
	} {
		got := ""
		if way, ok := row.plan.Way(row.from, netip.MustParseAddr(row.to)); ok {
			via := "-"
			if way.Via.IsValid() {
				via = way.Via.String()
			}
			got = via + " " + way.Dev
			if to := netip.MustParseAddr(row.to).Unmap(); way.To != netip.PrefixFrom(to, to.BitLen()) {
				t.Errorf("from %s to %s: to %s", row.from, row.to, way.To)
			}
		}
		if got != row.want {
			t.Errorf("from %s to %s: %q, not %q", row.from, row.to, got, row.want)
		}
	}
	if _, ok := new(topo.Plan).Way("a", netip.MustParseAddr("10.0.0.1")); ok {
		t.Error("a way through nothing")
	}
}
