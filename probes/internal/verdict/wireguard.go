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

// keyLasts is how long what a handshake agreed on is used (REJECT_AFTER_TIME of WireGuard's paper).
const keyLasts = 180 * time.Second

// encrypts is the interface of WireGuard that the packet was handed to, if it was.
func (p spot) encrypts() (inspect.WireGuard, bool) { return p.state.WireGuardOf(p.seen.Index) }

// holder is the other end that has a public key.
func (p spot) holder(key string) (at peer, theirs inspect.WireGuard, found bool) {
	for _, end := range p.peersOf(End{p.seen.Node, p.seen.Interface}) {
		if theirs, is := end.state.WireGuardOf(end.link.Index); is && theirs.Key == key {
			return end, theirs, true
		}
	}
	return peer{}, inspect.WireGuard{}, false
}

// agreed says whether the two ends have keys that a handshake gave them.
func (p spot) agreed(to inspect.WireGuardPeer) bool {
	return !to.Handshake.IsZero() && p.seen.At.Sub(to.Handshake) < keyLasts
}

// encryptedTo is what carries packets to a peer's endpoint; or why that cannot take them. A node that is
// behind NAT lacks the address that its peer knows it by.
func (p spot) encryptedTo(own inspect.WireGuard, to inspect.WireGuardPeer) (carrier *evidence.Carrier, misfit string) {
	at, theirs, found := p.holder(to.Key)
	us := slices.IndexFunc(theirs.Peers, func(peer inspect.WireGuardPeer) bool { return peer.Key == own.Key })
	switch {
	case !found:
		return nil, "nobody on the segment has its key"
	case us < 0:
		return nil, at.Node + " has no such peer"
	case theirs.Port != int(to.Endpoint.Port()):
		return nil, fmt.Sprintf("%s listens at port %d", at.Node, theirs.Port)
	}
	from := theirs.Peers[us].Endpoint.Addr()
	if _, is := p.state.Addr(from); !is {
		from = netip.Addr{}
	}
	return &evidence.Carrier{
		Node: p.state.Name, Peer: at.Node, From: from, To: to.Endpoint.Addr(),
		Protocol: unix.IPPROTO_UDP, Port: to.Endpoint.Port(), Own: uint16(own.Port),
	}, ""
}
