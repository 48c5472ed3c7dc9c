package policy

import (
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// kindsOf are what a node takes addresses for (RTN_LOCAL and so on), as IPv4's inet_addr_type has it: what is no
// one's by the local table is unicast. IPv6 asks its routes, and only for multicast its answer is known.
func kindsOf(routes []inspect.Route, v6 bool) map[uint32]set {
	if v6 {
		return map[uint32]set{unix.RTN_MULTICAST: prefixes("ff00::/8")}
	}
	kinds := map[uint32]set{unix.RTN_BROADCAST: none(), unix.RTN_MULTICAST: prefixes("224.0.0.0/4")}
	taken := kinds[unix.RTN_MULTICAST]
	take := func(kind uint32, s set) {
		kinds[kind] = kinds[kind].orNone().or(s.without(taken))
		taken = taken.or(s)
	}
	take(unix.RTN_BROADCAST, prefixes("0.0.0.0/32", "255.255.255.255/32"))
	for _, r := range routesOf(routes, unix.RT_TABLE_LOCAL, false) {
		take(uint32(r.Type), prefixSet(r.To))
	}
	take(unix.RTN_UNICAST, prefixes("0.0.0.0/0"))
	return kinds
}

// kind are the addresses of a kind; false where that is not known.
func (m *model) kind(of uint32) (set, bool) {
	s := m.kinds[of]
	return s.orNone(), s != nil || !m.v6
}
