package inspect

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route.
type Route struct {
	Table, Type int // Type is RTN_UNICAST and so on (rtnetlink(7))
	To          netip.Prefix
	Via         netip.Addr // of either family
	Index       int        // of the interface
	Metric      int
	TOS         int
	// Protocol is who made it (RTPROT_KERNEL and so on), Scope how far it reaches.
	Protocol, Scope int
	Source          netip.Addr // what packets get by it that have none
	MTU             int        // in bytes; 0 is the link's
	MTULocked       bool       // it stays, whatever ICMP says ("mtu lock")
	Flags           int        // RTNH_F_DEAD and so on
	Hops            []Hop      // of a multipath route, which has no Via and Index of its own
}

// Hop is a way of a multipath route.
type Hop struct {
	Via    netip.Addr
	Index  int // of the interface
	Weight int
	Flags  int // RTNH_F_DEAD and so on
}

// NetlinkRoutes are the routes of every table of a namespace, as netlink has them and
// takes them back.
func NetlinkRoutes(h *netlink.Handle) ([]netlink.Route, error) {
	return ofFamilies(func(family int) ([]netlink.Route, error) {
		return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
}

// ofFamilies asks for IPv4's, then for IPv6's. Asked for all at once, a kernel takes its
// rtnl lock, which it holds for long while other namespaces are made and cleared up.
func ofFamilies[T any](ask func(family int) ([]T, error)) (all []T, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		some, failed := ask(family)
		all, err = append(all, some...), errors.Join(err, failed)
	}
	return all, err
}

// Routes are the routes of every table of the namespace, IPv4's first. Where the
// kernel changed them under way there are some, and netlink.ErrDumpInterrupted.
func (ns Namespace) Routes() ([]Route, error) {
	routes, err := NetlinkRoutes(ns.Handle)
	all := make([]Route, len(routes))
	for i, r := range routes {
		all[i] = RouteOf(r)
	}
	slices.SortStableFunc(all, func(a, b Route) int { return a.To.Addr().BitLen() - b.To.Addr().BitLen() })
	if slices.ContainsFunc(all, func(r Route) bool { return r.bare() }) {
		err = errors.Join(err, ns.ask(func(c *conn) error { return c.resolve(all) }))
	}
	return all, err
}

// Local are the prefixes that the namespace takes for its own (type local, in the table
// local or main): its addresses, and what routes make its own besides. Index is of the
// interface.
func (ns Namespace) Local() (all []Route, err error) {
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC, Type: unix.RTN_LOCAL}
	routes, err := ofFamilies(func(family int) ([]netlink.Route, error) {
		return ns.Handle.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	})
	for _, r := range routes {
		if route := RouteOf(r); route.IsLocal() {
			all = append(all, route)
		}
	}
	return all, err
}

// IsLocal says whether the namespace takes packets that the route is for: of type local, in
// a table that is asked about all. Without a table, iproute2 takes local and busybox main;
// programs can bind to either.
func (r Route) IsLocal() bool {
	return r.Type == unix.RTN_LOCAL && (r.Table == unix.RT_TABLE_LOCAL || r.Table == unix.RT_TABLE_MAIN)
}

// RouteOf is a route as netlink has it.
func RouteOf(r netlink.Route) Route {
	s := Route{
		Table: r.Table, Type: r.Type, Index: r.LinkIndex, Metric: r.Priority, TOS: r.Tos, Protocol: int(r.Protocol), Scope: int(r.Scope),
		Via: gateway(r.Gw, r.Via), Source: addrOf(r.Src), MTU: r.MTU, MTULocked: r.MTULock, Flags: r.Flags,
	}
	switch {
	case r.Dst != nil:
		s.To = prefixOf(*r.Dst)
	case r.Family == unix.AF_INET6:
		s.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	default:
		s.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	for _, hop := range r.MultiPath {
		s.Hops = append(s.Hops, Hop{gateway(hop.Gw, hop.Via), hop.LinkIndex, hop.Hops + 1, hop.Flags})
	}
	return s
}

// gateway is where a route leads: a gateway of its own family or of the other.
func gateway(own net.IP, other netlink.Destination) netip.Addr {
	if via, ok := other.(*netlink.Via); ok {
		own = via.Addr
	}
	return addrOf(own)
}

func addrOf(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// dead says whether the route leads nowhere: its link is down, or all of its hops'.
func (r *Route) dead() bool {
	for _, hop := range r.Hops {
		if hop.Flags&unix.RTNH_F_DEAD == 0 {
			return false
		}
	}
	return len(r.Hops) > 0 || r.Flags&unix.RTNH_F_DEAD != 0
}
