package verdict

import (
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var unreachable = row{
	kind: evidence.Unreachable, verb: "rejected", policy: always, needs: needPackets | needRoutes | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool {
			return p.closed(c, unix.RTN_UNREACHABLE, unix.FR_ACT_UNREACHABLE, "unreachable")
		},
	},
	confirmed: confirmation{counters: []string{"Icmp.OutDestUnreachs", "Icmp6.OutDestUnreachs"}},
	lift:      liftWay,
}
