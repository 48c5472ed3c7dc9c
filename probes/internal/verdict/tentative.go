package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var tentative = row{
	kind: evidence.Tentative, verb: "not delivered", policy: never, needs: needPackets | needAddrs,
	mend: "wait until the address is settled, or give it with nodad",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unsent: func(p spot, c *evidence.Cause) bool {
			addr, ok := unsettled(p.state, p.to.Is6())
			c.Detail = isTentative(addr)
			return ok && p.Heard.Errno != unix.EMSGSIZE
		},
		sourced: unsettledSource,
		delivered: func(p spot, c *evidence.Cause) bool {
			addr, _ := p.state.Addr(p.to)
			c.Detail = isTentative(p.to)
			return addr.Tentative
		},
		resolving: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.peers() {
				if addr, own := peer.state.Addr(p.next()); p.unresolved() && own && addr.Tentative {
					moves(c, peer.End)
					c.Detail = isTentative(p.next())
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{otherwise: "the address's own state is read"},
	unliftable: "an address that is not settled is no policy",
}

func isTentative(addr netip.Addr) string { return fmt.Sprintf("%s is tentative", addr) }

// unsettledSource is for a request that left with a link-local address, since the
// asker has no other that is settled.
func unsettledSource(p spot, c *evidence.Cause) bool {
	if !p.seen.Source.IsLinkLocalUnicast() || p.seen.Destination.IsLinkLocalUnicast() {
		return false
	}
	addr, ok := unsettled(p.state, p.seen.Source.Is6())
	c.Detail = fmt.Sprintf("%s, and %s was the source", isTentative(addr), p.seen.Source)
	return ok
}

// unsettled is an address of a family that is tentative.
func unsettled(s *inspect.State, v6 bool) (netip.Addr, bool) {
	for _, a := range s.Addrs {
		if addr := a.Prefix.Addr(); a.Tentative && addr.Is6() == v6 && !addr.IsLinkLocalUnicast() {
			return addr, true
		}
	}
	return netip.Addr{}, false
}
