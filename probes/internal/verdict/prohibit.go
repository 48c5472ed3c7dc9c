package verdict

import (
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var prohibit = row{
	kind: evidence.Prohibit, verb: "refused", policy: always, needs: needPackets | needRoutes | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool {
			if p.closed(c, unix.EACCES, unix.RTN_PROHIBIT, "prohibit") {
				return true
			}
			c.Detail = "a rule of the routing policy" // there is no such route
			return p.way.Errno == unix.EACCES
		},
	},
	confirmed: confirmation{otherwise: "the node was seen to say so in an ICMP error"},
	lift:      liftRoute,
}
