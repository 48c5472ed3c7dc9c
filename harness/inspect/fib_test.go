package inspect_test

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// A route is overtaken by one of its own table that comes before it for every packet.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	to := netip.MustParseAddr("10.0.9.1")
	route := inspect.Route{Table: unix.RT_TABLE_MAIN, To: netip.MustParsePrefix("10.0.9.0/24"), Metric: 100}
	for name, row := range map[string]struct {
		change func(*inspect.Route)
		want   bool
	}{
		"of a longer prefix":           {func(r *inspect.Route) { r.To = netip.PrefixFrom(to, 32) }, true},
		"of a shorter one":             {func(r *inspect.Route) { r.To = netip.MustParsePrefix("10.0.0.0/16") }, false},
		"to another address":           {func(r *inspect.Route) { r.To = netip.MustParsePrefix("10.0.9.2/32") }, false},
		"of a lower metric":            {func(r *inspect.Route) { r.Metric = 1 }, true},
		"of a higher one":              {func(r *inspect.Route) { r.Metric = 200 }, false},
		"of another table":             {func(r *inspect.Route) { r.To, r.Table = netip.PrefixFrom(to, 32), 100 }, false},
		"for a type of service":        {func(r *inspect.Route) { r.To, r.TOS = netip.PrefixFrom(to, 32), 16 }, false},
		"whose interface has no cable": {func(r *inspect.Route) { r.To, r.Flags = netip.PrefixFrom(to, 32), unix.RTNH_F_DEAD }, false},
	} {
		other := route
		row.change(&other)
		s := inspect.State{Routes: []inspect.Route{route, other}}
		if got := s.Overtaken(route, to); got != row.want {
			t.Errorf("by one %s: %t", name, got)
		}
	}
}
