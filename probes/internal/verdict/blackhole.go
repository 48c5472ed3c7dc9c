package verdict

import (
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var blackhole = row{
	kind: evidence.Blackhole, verb: "swallowed", policy: always, needs: needPackets | needRoutes | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool { return p.closed(c, unix.EINVAL, unix.RTN_BLACKHOLE, "blackhole") },
	},
	confirmed: confirmation{otherwise: "Ip.InReceives moves, and neither Ip.ForwDatagrams nor Ip.InDelivers"},
	lift:      liftRoute,
}

// closed says whether a route of a type is why the lookup ended with an error.
func (p spot) closed(c *evidence.Cause, errno unix.Errno, routeType int, name string) bool {
	route, ok := matching(p.state, p.to, routeType)
	if !ok || p.way.Errno != errno {
		return false
	}
	c.Detail, c.Route, c.To = name+" route "+route.To.String(), &route, p.to
	return true
}

func liftRoute(c evidence.Cause) Deed { return DeleteRoute{c.Route} }

// matching is the route with the longest prefix among those of a type that a
// lookup of the address could meet.
func matching(s *inspect.State, addr netip.Addr, routeType int) (inspect.Route, bool) {
	best, found := inspect.Route{}, false
	for _, r := range s.Routes {
		if r.Type == routeType && r.To.Contains(addr) && (!found || r.To.Bits() > best.To.Bits()) {
			best, found = r, true
		}
	}
	return best, found
}
