package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

var noAnswer = row{
	kind: evidence.NoAnswer, verb: "delivered", policy: never, passes: always, needs: needPackets | needSockets,
	mend: "let the service answer (probes.Serve)",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unanswered: func(p spot, c *evidence.Cause) bool {
			at, _ := p.listeners()
			c.Detail = fmt.Sprintf("udp/%d has a listener there, and nothing came back", p.port())
			return p.Heard.Read && p.Flow.Protocol == wire.UDP && len(at) > 0
		},
	},
	confirmed:  confirmation{counters: []string{"Udp.InDatagrams", "Udp6.InDatagrams"}},
	unliftable: "a service that says nothing is no policy",
}
