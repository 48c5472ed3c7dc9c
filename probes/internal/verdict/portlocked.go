package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var portLocked = row{
	kind: evidence.PortLocked, verb: "not bridged", policy: always, needs: needPackets | needLinks | needPlan,
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool { return p.locked(p.sentBy(), c) },
		// The question for the neighbour is what a locked port keeps first.
		resolving: func(p spot, c *evidence.Cause) bool { return p.unresolved() && p.locked(p.askedBy(), c) },
	},
	confirmed: confirmation{otherwise: "the kernel counts no frame that a locked port keeps (skb_drop_reason BRIDGE_INGRESS aside)"},
	lift:      func(c evidence.Cause) Deed { return Unlock{c.Interface} },
}

// locked says whether the switch's port keeps what is sent to it there.
func (p spot) locked(at End, c *evidence.Cause) bool {
	s, own := p.switchOf(at)
	if s == nil || !s.keeps(own, p.state) {
		return false
	}
	c.Interface, c.Switch = own.Interface, s.Name
	c.Detail = fmt.Sprintf("its port of switch %s is locked, and has no entry for MAC %s", s.Name, own.mac)
	return true
}
