package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var noHandshake = row{
	kind: evidence.NoHandshake, verb: "not sent on", policy: never, passes: always, needs: needPackets | needLinks | needPlan,
	mend:       "see what becomes of packets between the two endpoints",
	at:         map[stage]func(spot, *evidence.Cause) bool{onLink: hasNoHandshake},
	confirmed:  confirmation{otherwise: "the kernel's own time of the latest handshake is read"},
	unliftable: "an endpoint that does not answer is no policy",
}

// keyLasts is how long what a handshake agreed on is used (REJECT_AFTER_TIME of WireGuard's paper).
const keyLasts = 180 * time.Second

// hasNoHandshake is for a packet that WireGuard keeps until the peer's endpoint answers.
func hasNoHandshake(p spot, c *evidence.Cause) bool {
	own, is := p.encrypts()
	to, allowed := own.Peer(p.to)
	if !is || !allowed || !to.Handshake.IsZero() && p.seen.At.Sub(to.Handshake) < keyLasts {
		return false
	}
	at, theirs, found := p.holder(to.Key)
	name := "peer " + to.Key
	if found {
		name = at.Node
	}
	c.Detail = fmt.Sprintf("no handshake with %s at %s", name, to.Endpoint)
	us := slices.IndexFunc(theirs.Peers, func(peer inspect.WireGuardPeer) bool { return peer.Key == own.Key })
	switch {
	case !to.Endpoint.IsValid():
		c.Detail = fmt.Sprintf("no endpoint of %s is known", name)
	case !found:
		c.Detail += ": nobody on the segment has its key"
	case us < 0:
		c.Detail += ": that has no such peer"
	case theirs.Port != int(to.Endpoint.Port()):
		c.Detail += fmt.Sprintf(": that listens at port %d", theirs.Port)
	default:
		c.Detail += ": what carries it may have been lost below"
		c.Carrier = &evidence.Carrier{
			Node: p.state.Name, Peer: at.Node, From: theirs.Peers[us].Endpoint.Addr(), To: to.Endpoint.Addr(),
			Protocol: unix.IPPROTO_UDP, Port: to.Endpoint.Port(), Own: uint16(own.Port),
		}
	}
	return true
}
