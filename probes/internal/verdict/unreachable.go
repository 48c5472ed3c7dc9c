package verdict

import (
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var unreachable = row{
	kind: evidence.Unreachable, verb: "refused", policy: always, needs: needPackets | needRoutes | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool {
			return p.closed(c, unix.EHOSTUNREACH, unix.RTN_UNREACHABLE, "unreachable")
		},
	},
	confirmed: confirmation{counters: []string{"Ip.InAddrErrors", "Ip6.InNoRoutes"}},
	lift:      liftRoute,
}
