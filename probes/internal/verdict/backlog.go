package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

var backlog = row{
	kind: evidence.Backlog, verb: "not accepted", policy: never, passes: always, needs: needPackets | needSockets,
	mend: "let the service accept, or lengthen its queue",
	at: map[stage]func(spot, *evidence.Cause) bool{
		accepted: func(p spot, c *evidence.Cause) bool {
			at, _ := p.listeners()
			for _, l := range at {
				if p.Flow.Protocol == wire.TCP && l.Waiting > l.Most {
					c.Detail = fmt.Sprintf("%d connections wait for the listener at port %d, which has room for %d", l.Waiting, l.Port, l.Most)
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{counters: []string{"TcpExt.ListenOverflows"}},
	unliftable: "a queue that is full is no policy",
}
