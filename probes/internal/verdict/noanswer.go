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
			protocol := map[wire.Protocol]string{wire.UDP: "udp", wire.UDPLite: "udplite"}[p.Flow.Protocol]
			c.Detail = fmt.Sprintf("%s/%d has a listener there, and nothing came back", protocol, p.port())
			return p.Heard.Read && protocol != "" && len(at) > 0
		},
	},
	confirmed:  confirmation{counters: []string{"Udp.InDatagrams", "Udp6.InDatagrams", "UdpLite.InDatagrams", "UdpLite6.InDatagrams"}},
	unliftable: "a service that says nothing is no policy",
}
