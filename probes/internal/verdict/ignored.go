package verdict

import (
	"strings"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

var ignored = row{
	kind: evidence.Ignored, verb: "ignored", policy: never, needs: needPackets,
	mend:    "set icmp_echo_ignore_all to 0, or ask with another probe",
	sysctls: []string{"net/ipv4/icmp_echo_ignore_all", "net/ipv6/icmp/echo_ignore_all"},
	at: map[stage]func(spot, *evidence.Cause) bool{
		accepted: func(p spot, c *evidence.Cause) bool {
			c.Sysctl = "net/ipv4/icmp_echo_ignore_all"
			if p.Flow.Addr.Is6() {
				c.Sysctl = "net/ipv6/icmp/echo_ignore_all"
			}
			c.Detail = strings.ReplaceAll(c.Sysctl, "/", ".") + "=1"
			return p.Flow.Protocol == wire.ICMP && p.state.Sysctls[c.Sysctl] == "1"
		},
	},
	confirmed:  confirmation{otherwise: "Icmp.InEchos moves, and Icmp.OutEchoReps does not"},
	unliftable: "who does not answer echo requests may answer others: it is no policy",
}
