package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

var noListener = row{
	kind: evidence.NoListener, verb: "refused", policy: never, needs: needPackets | needSockets,
	at:         map[stage]func(spot, *evidence.Cause) bool{accepted: nobodyListens, refused: nobodyListens},
	confirmed:  confirmation{counters: []string{"Udp.NoPorts", "Udp6.NoPorts", "Tcp.OutRsts"}},
	unliftable: "that nobody listens is no policy",
}

func nobodyListens(p spot, c *evidence.Cause) bool {
	c.Detail = fmt.Sprintf("nobody has port %d", p.Flow.Port)
	switch p.Flow.Protocol {
	case wire.TCP:
		return !p.state.Listens(p.Flow.Port)
	case wire.UDP:
		return !p.state.UDP[p.Flow.Port]
	}
	return false
}
