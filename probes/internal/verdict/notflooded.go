package verdict

import (
	"fmt"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var notFlooded = row{
	kind: evidence.NotFlooded, verb: "not bridged", needs: needPackets | needLinks | needPlan,
	// A switch that learns has the entry as soon as it hears something from there.
	policy: func(p spot, _ evidence.Cause) bool { _, port, _, _ := p.unflooded(); return port.NoLearning },
	passes: func(p spot, _ evidence.Cause) bool { _, port, _, _ := p.unflooded(); return !port.NoLearning },
	mend:   "give the switch an entry there (topo's Static), let it learn, or let it flood",
	at: map[stage]func(spot, *evidence.Cause) bool{
		onLink: func(p spot, c *evidence.Cause) bool {
			s, port, to, is := p.unflooded()
			if !is {
				return false
			}
			moves(c, to.End)
			c.Switch = s.Name
			c.Detail = fmt.Sprintf("its port of switch %s has flooding off, and the switch has no entry for MAC %s", s.Name, to.mac)
			if port.NoLearning {
				c.Detail += ", and learns none there"
			}
			return true
		},
	},
	confirmed: confirmation{otherwise: "the kernel counts no frame that a bridge's flag keeps"},
	lift:      func(c evidence.Cause) Deed { return Flood{c.Interface} },
}

// unflooded is the port of a switch to which the packet was not sent.
func (p spot) unflooded() (s *Switch, port inspect.BridgePort, to wired, is bool) {
	if s, _ = p.switchOf(p.sentBy()); s == nil {
		return nil, port, to, false
	}
	for _, peer := range p.receivers() {
		to := s.wired(peer)
		if port, on := s.Ports[to.End]; on && s.misses(to, peer.state) {
			return s, port, to, true
		}
	}
	return nil, port, to, false
}
