package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var noRoute = row{
	kind: evidence.NoRoute, verb: "not routed", needs: needPackets | needLookups | needLinks | needPlan,
	mend: "add the route, or declare its absence with NoRoutes",
	policy: func(p spot, c evidence.Cause) bool {
		declared := p.Nodes[p.state.Name]
		return declared.NoRoutes || slices.ContainsFunc(declared.Taken, func(to netip.Prefix) bool { return to.Contains(c.To) })
	},
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool {
			if p.way.Errno != unix.ENETUNREACH {
				return false
			}
			c.Detail, c.To = fmt.Sprintf("no route to %s", p.to), p.to
			for _, port := range p.Ports[p.state.Name] {
				if link := p.state.LinkNamed(port.Interface); link.Index != 0 && !link.Up {
					c.Kind = evidence.Unknown
					c.Detail = fmt.Sprintf("no route to %s; link %s is down, and a route may have gone with it", p.to, link.Name)
				}
			}
			return true
		},
	},
	confirmed: confirmation{counters: []string{"IpExt.InNoRoutes", "Ip6.InNoRoutes", "Ip.OutNoRoutes", "Ip6.OutNoRoutes"}},
	lift:      func(c evidence.Cause) Deed { return GiveRoute{c.To} },
}
