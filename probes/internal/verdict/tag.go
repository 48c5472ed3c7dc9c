package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var tag = row{
	kind: evidence.Tag, verb: "not taken", policy: never, needs: needPackets | needLinks | needPlan,
	mend: "give the node an interface of that VLAN (topo's Network.VLAN), or have its port send without a tag (Access)",
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.receivers() {
				for _, s := range p.Timeline {
					if s.Tag == 0 || !s.Foreign || s.Role != p.leg || s.Direction != evidence.In || s.Node != peer.Node || s.Interface != peer.Interface {
						continue
					}
					moves(c, peer.End)
					c.VLAN, c.Tagged = s.Tag, true
					c.Detail = fmt.Sprintf("it came with the tag of VLAN %d, of which no interface there is", s.Tag)
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{otherwise: "the frame was seen to come in with the tag, and the kernel takes what no interface is for as another host's"},
	unliftable: "a tag that nobody there knows is no policy",
}
