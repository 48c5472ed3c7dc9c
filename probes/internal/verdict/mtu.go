package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var mtu = row{
	kind: evidence.MTU, verb: "too large", policy: never, needs: needPackets | needHeard | needLinks | needLookups,
	mend: "send less, or raise the MTU",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unsent: func(p spot, c *evidence.Cause) bool {
			c.Detail = "the packet is larger than the link takes"
			return p.Heard.Errno == unix.EMSGSIZE
		},
		leaving: func(p spot, c *evidence.Cause) bool {
			c.Interface, c.Detail = p.link().Name, fmt.Sprintf("%d bytes, and the link takes %d", p.length, p.link().MTU)
			return p.length > p.link().MTU
		},
		onLink: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.receivers() {
				if peer.link.MTU < p.seen.Length {
					moves(c, peer.End)
					c.Detail = fmt.Sprintf("%d bytes, and the link there takes %d", p.seen.Length, peer.link.MTU)
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{counters: []string{"Ip.FragFails", "Ip6.FragFails", "Ip6.InTooBigErrors"}},
	unliftable: "a link's MTU is no policy",
}
