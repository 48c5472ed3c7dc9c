package verdict

import (
	"fmt"
	"net/netip"
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
	c.Detail = fmt.Sprintf("no handshake with %s at %s: ", name, to.Endpoint)
	if misfit := p.unmet(own, to); misfit != "" {
		c.Detail += misfit
		return true
	}
	c.Detail += "what carries it may have been lost below"
	c.Carrier = p.encrypted(own, to)
	return true
}

// agreed says whether the two ends have keys that a handshake gave them.
func (p spot) agreed(to inspect.WireGuardPeer) bool {
	return !to.Handshake.IsZero() && p.seen.At.Sub(to.Handshake) < keyLasts
}

// unmet is why what is sent to a peer's endpoint cannot be taken there; "" where it can.
func (p spot) unmet(own inspect.WireGuard, to inspect.WireGuardPeer) string {
	at, theirs, found := p.holder(to.Key)
	switch {
	case !found:
		return "nobody on the segment has its key"
	case peerOf(theirs, own.Key) < 0:
		return at.Node + " has no such peer"
	case theirs.Port != int(to.Endpoint.Port()):
		return fmt.Sprintf("%s listens at port %d", at.Node, theirs.Port)
	default:
		return ""
	}
}

// encrypted is what carries packets to a peer that could take them. A node that is behind NAT lacks the
// address that its peer knows it by.
func (p spot) encrypted(own inspect.WireGuard, to inspect.WireGuardPeer) *evidence.Carrier {
	at, theirs, _ := p.holder(to.Key)
	from := theirs.Peers[peerOf(theirs, own.Key)].Endpoint.Addr()
	if _, is := p.state.Addr(from); !is {
		from = netip.Addr{}
	}
	return &evidence.Carrier{
		Node: p.state.Name, Peer: at.Node, From: from, To: to.Endpoint.Addr(),
		Protocol: unix.IPPROTO_UDP, Port: to.Endpoint.Port(), Own: uint16(own.Port),
	}
}

// peerOf is where in the peers of an interface one is, by its key; -1 where it is not.
func peerOf(link inspect.WireGuard, key string) int {
	return slices.IndexFunc(link.Peers, func(peer inspect.WireGuardPeer) bool { return peer.Key == key })
}
