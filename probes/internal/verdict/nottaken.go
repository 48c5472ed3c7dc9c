package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

var notTaken = row{
	kind: evidence.NotTaken, verb: "not taken", policy: never, needs: needPackets | needSockets,
	mend: "have the listener's socket take it",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unanswered: func(p spot, c *evidence.Cause) bool {
			at, _ := p.listeners()
			protocol := map[wire.Protocol]string{wire.TCP: "tcp", wire.UDP: "udp", wire.UDPLite: "udplite"}[p.Flow.Protocol]
			c.Detail = fmt.Sprintf("the listener's socket at %s/%d drops it: %s", protocol, p.port(), p.Heard.Untaken)
			return p.Heard.Untaken != "" && protocol != "" && len(at) > 0
		},
	},
	confirmed:  confirmation{otherwise: "the socket's own count of drops moves (sock_diag)"},
	unliftable: "what a program's socket drops is no policy",
}
