package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var noHandshake = row{
	kind: evidence.NoHandshake, verb: "not sent on", policy: never, passes: always, needs: needPackets | needLinks | needPlan,
	mend:       "see what becomes of packets between the two endpoints",
	at:         map[stage]func(spot, *evidence.Cause) bool{onLink: hasNoHandshake},
	confirmed:  confirmation{otherwise: "the kernel's own time of the latest handshake is read"},
	unliftable: "an endpoint that does not answer is no policy",
}

// hasNoHandshake is for a packet that WireGuard keeps until the peer's endpoint answers.
func hasNoHandshake(p spot, c *evidence.Cause) bool {
	own, is := p.encrypts()
	to, allowed := own.Peer(p.to)
	if !is || !allowed || p.agreed(to) {
		return false
	}
	name := "peer " + to.Key
	if at, _, found := p.holder(to.Key); found {
		name = at.Node
	}
	if !to.Endpoint.IsValid() {
		c.Detail = fmt.Sprintf("no endpoint of %s is known", name)
		return true
	}
	carrier, misfit := p.encryptedTo(own, to)
	if misfit == "" {
		misfit = "what carries it may have been lost below"
	}
	c.Detail, c.Carrier = fmt.Sprintf("no handshake with %s at %s: %s", name, to.Endpoint, misfit), carrier
	return true
}
