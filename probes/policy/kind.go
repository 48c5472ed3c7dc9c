package policy

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// kindsOf are what a node takes addresses for (RTN_LOCAL and so on), as IPv4's inet_addr_type has it: what is no
// one's by the local table is unicast. IPv6 asks its routes, and only for multicast its answer is known.
func kindsOf(routes []inspect.Route, v6 bool) map[uint32]set {
	if v6 {
		return map[uint32]set{unix.RTN_MULTICAST: prefixSet(netip.MustParsePrefix("ff00::/8"))}
	}
	kinds := map[uint32]set{unix.RTN_BROADCAST: none(), unix.RTN_MULTICAST: prefixSet(netip.MustParsePrefix("224.0.0.0/4"))}
	taken := kinds[unix.RTN_MULTICAST]
	take := func(kind uint32, s set) {
		kinds[kind] = kinds[kind].orNone().or(s.without(taken))
		taken = taken.or(s)
	}
	for _, p := range []string{"0.0.0.0/32", "255.255.255.255/32"} {
		take(unix.RTN_BROADCAST, prefixSet(netip.MustParsePrefix(p)))
	}
	local := slices.DeleteFunc(slices.Clone(routes), func(r inspect.Route) bool { return r.Table != unix.RT_TABLE_LOCAL || !r.To.Addr().Is4() })
	slices.SortStableFunc(local, func(a, b inspect.Route) int {
		if a.To.Bits() != b.To.Bits() {
			return b.To.Bits() - a.To.Bits()
		}
		return a.Metric - b.Metric
	})
	for _, r := range local {
		take(uint32(r.Type), prefixSet(r.To))
	}
	take(unix.RTN_UNICAST, prefixSet(netip.MustParsePrefix("0.0.0.0/0")))
	return kinds
}

// kind are the addresses of a kind; false where that is not known.
func (m *model) kind(of uint32) (set, bool) {
	s := m.kinds[of]
	return s.orNone(), s != nil || !m.v6
}
