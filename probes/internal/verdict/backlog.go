package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// HalfOpen is why a socket that listens drops what would begin a connection, as the kernel counts it.
const HalfOpen = "as many connections are half open as it has room for (net.ipv4.tcp_max_syn_backlog), and SYN cookies are off (net.ipv4.tcp_syncookies)"

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
		unanswered: func(p spot, c *evidence.Cause) bool {
			c.Detail = p.Heard.Untaken
			return p.Heard.Untaken == HalfOpen
		},
	},
	confirmed:  confirmation{counters: []string{"TcpExt.ListenOverflows", "TcpExt.TCPReqQFullDrop"}},
	unliftable: "a queue that is full is no policy",
}
