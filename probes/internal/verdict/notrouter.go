package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
)

var notRouter = row{
	kind: evidence.NotRouter, verb: "not forwarded", policy: never, needs: needPackets | needLinks | needPlan,
	mend:       "declare the gateway with Router, or choose another",
	sysctls:    noForward.sysctls,
	at:         map[stage]func(spot, *evidence.Cause) bool{handed: isHost},
	confirmed:  confirmation{counters: []string{"Ip.InAddrErrors", "Ip6.InAddrErrors"}},
	unliftable: "a host was never to forward",
}

// isHost says whether the node is one that others take for their gateway by mistake.
func isHost(p spot, c *evidence.Cause) bool {
	key, off := p.forwardsNot()
	declared, known := p.Nodes[p.state.Name]
	if !off || !known || declared.Router {
		return false
	}
	c.Sysctl, c.Detail = key, fmt.Sprintf("%s is a host, not a router", c.Node)
	if sender := p.sender(); sender != "" {
		c.Detail += fmt.Sprintf(": check the routes of %s", sender)
	}
	return true
}

// sender is the node that sent the packet here; "" where that is not known.
func (p spot) sender() string {
	for _, s := range slices.Backward(p.Timeline) {
		if s.Role == p.leg && s.Direction == evidence.Out && s.Node != p.seen.Node && !s.At.After(p.seen.At) {
			return s.Node
		}
	}
	return ""
}
