package inspect

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route.
type Route struct {
	Table, Type int // Type is RTN_UNICAST and so on (rtnetlink(7))
	To          netip.Prefix
	Via         netip.Addr
	Index       int // of the interface
	Metric      int
}

// Routes are those of every table of a namespace.
func Routes(h *netlink.Handle) ([]netlink.Route, error) {
	return h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
}

func (s *State) readRoutes(h *netlink.Handle) error {
	routes, err := Routes(h)
	for _, r := range routes {
		s.Routes = append(s.Routes, RouteOf(r))
	}
	return err
}

// RouteOf is a route as netlink has it.
func RouteOf(r netlink.Route) Route {
	s := Route{Table: r.Table, Type: r.Type, Index: r.LinkIndex, Metric: r.Priority}
	switch {
	case r.Dst != nil:
		s.To = prefixOf(*r.Dst)
	case r.Family == unix.AF_INET6:
		s.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	default:
		s.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	if via, ok := netip.AddrFromSlice(r.Gw); ok {
		s.Via = via.Unmap()
	}
	return s
}
