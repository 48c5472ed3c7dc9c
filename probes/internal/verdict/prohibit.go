package verdict

import (
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var prohibit = row{
	kind: evidence.Prohibit, verb: "rejected", policy: always, needs: needPackets | needRoutes | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool {
			return p.closed(c, unix.RTN_PROHIBIT, unix.FR_ACT_PROHIBIT, "prohibit")
		},
	},
	confirmed: confirmation{counters: []string{"Icmp.OutDestUnreachs", "Icmp6.OutDestUnreachs"}},
	lift:      liftWay,
}
